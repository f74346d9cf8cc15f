"""Turns: who may work next, where many speak at once and only so many can be served."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from voxcpm_openai.errors import Unavailable


@dataclass(eq=False, slots=True)
class Ticket:
    """A stream's place in the queue for turns."""

    arrived: float
    deadline: float = 0.0
    granted: bool = False
    go: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Lets so many streams work at once; a free place goes to the earliest deadline.

    A deadline is the moment (``time.monotonic``) when the listener runs dry, so that sound that is
    needed now is made before sound that is needed later.
    """

    def __init__(self, places: int) -> None:
        """``places``: how many may work at once, at least 1."""
        self.places = places
        self.shut = False
        self._free = places
        self._streams: set[Ticket] = set()
        self._waiting: list[Ticket] = []
        self._lock = threading.Lock()

    def enter(self) -> Ticket:
        """Return the ticket of a new stream.  Raises Unavailable after ``shut_down``."""
        ticket = Ticket(arrived=time.monotonic())
        with self._lock:
            if self.shut:
                raise Unavailable("The engine has stopped.")
            self._streams.add(ticket)
        return ticket

    def take(self, ticket: Ticket, deadline: float) -> bool:
        """Wait for a place.  True: ``give`` it back; False: the stream has left."""
        with self._lock:
            if ticket not in self._streams:
                return False
            ticket.deadline = deadline
            ticket.go.clear()
            self._waiting.append(ticket)
            self._hand_out()
            if ticket.granted:
                return True
        ticket.go.wait()
        return ticket.granted

    def give(self, ticket: Ticket) -> None:
        """Give the place back that ``take`` granted."""
        with self._lock:
            ticket.granted = False
            self._free += 1
            self._hand_out()

    def leave(self, ticket: Ticket) -> None:
        """End a stream, from any thread: it gets no more turns.  A turn that it has goes on."""
        with self._lock:
            self._drop(ticket)

    def shut_down(self) -> None:
        """End all streams and let no new one in."""
        with self._lock:
            self.shut = True
            for ticket in tuple(self._streams):
                self._drop(ticket)

    def status(self) -> dict[str, object]:
        """Return how many streams run, wait and are open, and how many may run."""
        with self._lock:
            return {
                "running": self.places - self._free,
                "waiting": len(self._waiting),
                "streams": len(self._streams),
                "threads": self.places,
            }

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            ticket = min(self._waiting, key=lambda waiter: waiter.deadline)
            self._waiting.remove(ticket)
            self._free -= 1
            ticket.granted = True
            ticket.go.set()

    def _drop(self, ticket: Ticket) -> None:
        self._streams.discard(ticket)
        if ticket in self._waiting:  # else it was granted, and the place comes back by `give`
            self._waiting.remove(ticket)
            ticket.go.set()
