"""The limits on concurrent speech streams, and on WebSockets, of a worker."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from voxcpm_openai.errors import ClientLeft, Overloaded
from voxcpm_openai.gate import DeadlineGate

SOCKET_RETRY = 5
"""Seconds after which a client may try again when there are too many WebSockets."""
SMOOTHING = 0.2
"""The weight of the newest stream in the mean duration."""


class StreamLimiter:
    """Counts running streams.  ``enter`` never waits: it raises Overloaded at capacity.

    ``reenter`` is for a listener who has heard a part already: it waits, and new streams are
    refused meanwhile.

    ``gate`` bounds how many streams process and encode audio at once: one more than there are
    cores, so that a thread that wakes up leaves no core idle.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.gate = DeadlineGate((os.cpu_count() or 1) + 1)
        self.on_enter: Callable[[], None] = lambda: None
        """Called when a stream begins, in its thread; must not wait."""
        self.on_leave: Callable[[], None] = lambda: None
        """Called in the thread that gives a permit back, when it is free."""
        self._running = 0
        self._waiting = 0
        self._mean_seconds = 1.0
        self._changed = threading.Condition()

    @property
    def running(self) -> int:
        """The number of running streams."""
        return self._running

    def enter(self) -> StreamPermit:
        """Return a permit.  Raises Overloaded with the seconds until one is likely to be free."""
        with self._changed:
            if self._running + self._waiting < self.limit:
                return self._permit()
            raise self._refusal()

    def reenter(self, seconds: float, left: Callable[[], bool]) -> StreamPermit:
        """Wait up to ``seconds`` for a permit.  Raises Overloaded; ClientLeft if ``left()``.

        Call ``wake`` when ``left`` changes.
        """
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: left() or self._running < self.limit, seconds)
            finally:
                self._waiting -= 1
            if left():
                raise ClientLeft
            if self._running >= self.limit:
                raise self._refusal()
            return self._permit()

    def wake(self) -> None:
        """Let those who wait look again at whether their listener has left."""
        with self._changed:
            self._changed.notify_all()

    def _permit(self) -> StreamPermit:
        self._running += 1
        self.on_enter()
        return StreamPermit(self)

    def _refusal(self) -> Overloaded:
        # With `limit` streams of a mean length, one ends every mean/limit seconds.
        return Overloaded(
            f"This server runs {self.limit} speech requests at once and is at capacity.",
            retry_after=math.ceil(self._mean_seconds / self.limit),
        )

    def leave(self, seconds: float) -> None:
        """Give a permit back after ``seconds``.  ``StreamPermit`` calls this."""
        with self._changed:
            self._running -= 1
            self._mean_seconds += SMOOTHING * (seconds - self._mean_seconds)
            self._changed.notify_all()
        self.on_leave()


class SocketLimiter:
    """Counts open WebSockets."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0
        self._lock = threading.Lock()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count one in the ``with`` block.  Raises Overloaded if there are too many."""
        with self._lock:
            if self.open >= self.limit:
                raise Overloaded(
                    f"This server has {self.limit} WebSockets open, which is its limit.",
                    retry_after=SOCKET_RETRY,
                )
            self.open += 1
        try:
            yield
        finally:
            with self._lock:
                self.open -= 1


class StreamPermit(AbstractContextManager["StreamPermit"]):
    """The permission to run one stream, given back at the end of the ``with`` block."""

    def __init__(self, limiter: StreamLimiter) -> None:
        self._limiter = limiter
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._limiter.leave(time.monotonic() - self._since)
