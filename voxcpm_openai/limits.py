"""The limit on concurrent speech streams of a worker."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import AbstractContextManager

from voxcpm_openai.errors import Overloaded
from voxcpm_openai.gate import DeadlineGate

SMOOTHING = 0.2
"""The weight of the newest stream in the mean duration."""


class StreamLimiter:
    """Counts running streams.  ``enter`` never waits: it raises Overloaded at capacity.

    ``gate`` bounds how many streams process and encode audio at once: one more than there are
    cores, so that a thread that wakes up leaves no core idle.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.gate = DeadlineGate((os.cpu_count() or 1) + 1)
        self._running = 0
        self._mean_seconds = 1.0
        self._lock = threading.Lock()

    @property
    def running(self) -> int:
        """The number of running streams."""
        return self._running

    def enter(self) -> StreamPermit:
        """Return a permit.  Raises Overloaded with the seconds until one is likely to be free."""
        with self._lock:
            if self._running < self.limit:
                self._running += 1
                return StreamPermit(self)
            # With `limit` streams of a mean length, one ends every mean/limit seconds.
            wait = math.ceil(self._mean_seconds / self.limit)
        raise Overloaded(
            f"This server runs {self.limit} speech requests at once and is at capacity.",
            retry_after=wait,
        )

    def leave(self, seconds: float) -> None:
        """Give a permit back after ``seconds``.  ``StreamPermit`` calls this."""
        with self._lock:
            self._running -= 1
            self._mean_seconds += SMOOTHING * (seconds - self._mean_seconds)


class StreamPermit(AbstractContextManager["StreamPermit"]):
    """The permission to run one stream, given back at the end of the ``with`` block."""

    def __init__(self, limiter: StreamLimiter) -> None:
        self._limiter = limiter
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._limiter.leave(time.monotonic() - self._since)
