"""Counts the speech streams of this worker, refuses one too many at once, and gives turns."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType

from voxcpm_openai.errors import Overloaded
from voxcpm_openai.turns import Turns

SMOOTHING = 0.2
"""The weight of the newest stream in the mean duration."""


class Streams:
    """A bounded count.  ``enter`` never waits: the answer to a full house is a 503.

    ``turns``: as many streams change and encode sound at once as keep all cores busy, one of them
    waking up.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.turns = Turns((os.cpu_count() or 1) + 1)
        self._running = 0
        self._mean_seconds = 1.0
        self._lock = threading.Lock()

    @property
    def running(self) -> int:
        """How many streams run now."""
        return self._running

    def enter(self) -> Place:
        """Take a place.  Raises Overloaded, with the seconds until one is likely to be free."""
        with self._lock:
            if self._running < self.limit:
                self._running += 1
                return Place(self)
            # With `limit` streams of a mean length, one ends every mean/limit seconds.
            wait = math.ceil(self._mean_seconds / self.limit)
        raise Overloaded(
            f"This server speaks for {self.limit} requests at once, and all places are taken.",
            retry_after=wait,
        )

    def leave(self, seconds: float) -> None:
        """Give a place back after so many seconds (``Place`` calls this)."""
        with self._lock:
            self._running -= 1
            self._mean_seconds += SMOOTHING * (seconds - self._mean_seconds)


class Place(AbstractContextManager["Place"]):
    """A place among the streams, given back at the end of the ``with`` block."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._since = time.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._streams.leave(time.monotonic() - self._since)
