"""A fake clock, and the time of rate limits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from limits.storage import memory

MINUTE = 60
MARGIN = 10


class Clock:
    """A function that returns ``now``, in seconds."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextmanager
def rate_clock() -> Iterator[Clock]:
    """Yield the clock that rates in memory are counted by, at the start of a minute."""
    clock = Clock(1000.0 * MINUTE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "time", SimpleNamespace(time=clock))
        yield clock


def avoid_end_of_minute() -> None:
    """Wait for the next minute if this one is about to end.

    Rates are counted by the minute of the system's clock: counts that Redis or another process
    keeps would change within the test.
    """
    left = MINUTE - time.time() % MINUTE
    if left < MARGIN:
        time.sleep(left)
