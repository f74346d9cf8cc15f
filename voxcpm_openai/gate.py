"""A gate that bounds concurrent CPU work: the earliest deadline goes first."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from voxcpm_openai.errors import Unavailable


@dataclass(eq=False, slots=True)
class Ticket:
    """A stream that is registered at a gate."""

    arrived: float
    deadline: float = 0.0
    granted: bool = False
    wake: threading.Event = field(default_factory=threading.Event)


class GateCounts(NamedTuple):
    """Streams that are registered, that work, and that wait for a place."""

    streams: int
    running: int
    waiting: int


class DeadlineGate:
    """Lets a number of streams work at once; a free place goes to the earliest deadline.

    A deadline is the moment (``time.monotonic``) when the listener runs out of audio
    (``PlayoutClock.deadline``), so that audio that is needed first is made first.
    """

    def __init__(self, places: int) -> None:
        """``places``: the number of streams that may work at once, at least 1."""
        self.places = places
        self.closed = False
        self._free = places
        self._streams: set[Ticket] = set()
        self._waiting: list[Ticket] = []
        self._lock = threading.Lock()

    def register(self) -> Ticket:
        """Return the ticket of a new stream.  Raises Unavailable after ``close``."""
        ticket = Ticket(arrived=time.monotonic())
        with self._lock:
            if self.closed:
                raise Unavailable("The engine has stopped.")
            self._streams.add(ticket)
        return ticket

    def acquire(self, ticket: Ticket, deadline: float) -> bool:
        """Wait for a place.  Return True if it must be released, False if the stream has ended."""
        with self._lock:
            if ticket not in self._streams:
                return False
            ticket.deadline = deadline
            ticket.wake.clear()
            self._waiting.append(ticket)
            self._grant()
            if ticket.granted:
                return True
        ticket.wake.wait()
        return ticket.granted

    def release(self, ticket: Ticket) -> None:
        """Give back the place that ``acquire`` granted."""
        with self._lock:
            ticket.granted = False
            self._free += 1
            self._grant()

    def unregister(self, ticket: Ticket) -> None:
        """End a stream from any thread.  It gets no more places; one that it has stays valid."""
        with self._lock:
            self._drop(ticket)

    def close(self) -> None:
        """End all streams and refuse new ones."""
        with self._lock:
            self.closed = True
            for ticket in tuple(self._streams):
                self._drop(ticket)

    def counts(self) -> GateCounts:
        """Return the current numbers."""
        with self._lock:
            return GateCounts(len(self._streams), self.places - self._free, len(self._waiting))

    def _grant(self) -> None:
        while self._free and self._waiting:
            ticket = min(self._waiting, key=lambda waiter: waiter.deadline)
            self._waiting.remove(ticket)
            self._free -= 1
            ticket.granted = True
            ticket.wake.set()

    def _drop(self, ticket: Ticket) -> None:
        self._streams.discard(ticket)
        if ticket in self._waiting:  # otherwise it was granted, and `release` follows
            self._waiting.remove(ticket)
            ticket.wake.set()
