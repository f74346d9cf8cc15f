"""How many threads a step on a CPU gets: as many as other programs leave cores.

The threads of one operator wait for each other.  Where one of them shares its core with another
program, all wait while that one runs, a thousand times per step: with one busy program on two
cores, two threads are four times as slow as they are alone, and three times as slow as one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager

from voxcpm_openai import cores

WINDOW = 0.1
"""Seconds over which the load is measured at least: it is counted in steps of 10 ms."""
LOWER_LOAD, RAISE_LOAD = 0.5, 0.25
"""A thread is given up if others use more than this share of a core, and taken again below."""
SLOW = 2.0
"""A step has threads that wait if it takes this multiple of the best step of its kind."""
MAX_KINDS = 256
"""Kinds of steps whose best duration is known at once."""
AGING = 1.01
"""The best duration grows by this with each slower step of all threads: machines slow down."""
FIRST_DELAY, LAST_DELAY = 1.0, 60.0
"""Seconds from giving up a thread until it is taken again.  It doubles if that was too early."""


class ThreadCount:
    """Sets the threads of the thread that steps, before and after each step.

    Two things say that there are too many: the load of the cores without that of the steps, where
    the system tells it, and a step that takes ``SLOW`` times the best of its kind.  The former is
    known before a step is lost.  A thread that was given up is taken again when the load allows it,
    after a delay that doubles up to ``LAST_DELAY`` while it does not last.

    Belongs to the thread that steps; ``status`` may be called in any.
    """

    def __init__(
        self,
        most: int,
        set_threads: Callable[[int], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        own: Callable[[], float] = time.thread_time,
        process: Callable[[], float] = time.process_time,
        busy: Callable[[], float | None] = cores.busy_seconds,
        bound_to: int | None = None,
    ) -> None:
        """``most``: threads at most, which is where it begins; ``set_threads`` sets them.

        ``own``: processor time of the stepping thread; ``process``: of all threads of the process;
        ``busy``: of all programs on ``bound_to`` cores, or None if that is not known.  In seconds.
        """
        self.most = self.count = most
        self._set_threads = set_threads
        self._clock, self._own, self._process, self._busy = clock, own, process, busy
        self._cores = len(cores.bound_to()) if bound_to is None else bound_to
        self._sample: tuple[float, float, float, float] | None = None
        self._best: dict[Hashable, float] = {}
        # The slow step for which a thread was given up.
        self._tried: tuple[Hashable, float] | None = None
        self._delay = FIRST_DELAY
        self._raised_at = self._raise_at = -math.inf

    def status(self) -> Mapping[str, int]:
        """Return the number of threads ``now``, and ``most``."""
        return {"now": self.count, "most": self.most}

    @contextmanager
    def step(self, kind: Hashable) -> Iterator[None]:
        """Run a step in the block.  Steps of the same ``kind`` take about the same time."""
        if self.most == 1:
            yield
            return
        self._follow_load()
        threads, begun = self.count, self._clock()
        yield
        seconds = self._clock() - begun
        self._follow_load()
        self._follow_duration(kind, seconds, threads)

    def _follow_load(self) -> None:
        """Change the number of threads by the load since it was last measured."""
        now, busy = self._clock(), self._busy()
        if busy is None:
            if self.count < self.most and now >= self._raise_at:
                self._raise(self.count + 1, now)
            return
        before, after = self._sample, (now, self._own(), self._process(), busy)
        if before is None:
            self._sample = after
            return
        seconds, own, process, work = (b - a for a, b in zip(before, after, strict=True))
        if seconds < WINDOW:
            return
        self._sample = after
        # The other threads of a step work or wait as long as this one, unless they lack a core.
        others = (work - min(self.count * own, process)) / seconds
        room = self._cores - max(0.0, others)
        if self.count > (most := max(1, math.floor(room + LOWER_LOAD))):
            self._lower(most, now)
        most = min(self.most, math.floor(room + RAISE_LOAD))
        if self.count < most and now >= self._raise_at:
            self._raise(most, now)

    def _follow_duration(self, kind: Hashable, seconds: float, threads: int) -> None:
        """Give up a thread if a step was slow with ``threads``; take it again if that was wrong."""
        tried, self._tried = self._tried, None
        if tried is not None and tried[0] == kind and seconds >= tried[1]:
            self._best[kind] = tried[1]  # the machine is slower, not the threads
            if self.count == threads:
                self._raise(threads + 1, self._clock())
            return
        best = self._best.get(kind, math.inf)
        if len(self._best) >= MAX_KINDS:
            self._best.clear()
        self._best[kind] = min(seconds, best * AGING if threads == self.most else best)
        if seconds > SLOW * best and 1 < self.count == threads:
            self._tried = kind, seconds
            self._lower(threads - 1, self._clock())

    def _lower(self, count: int, now: float) -> None:
        lasted = now - self._raised_at >= 2 * self._delay
        self._delay = FIRST_DELAY if lasted else min(LAST_DELAY, 2 * self._delay)
        self._raise_at = now + self._delay
        self._set(count)

    def _raise(self, count: int, now: float) -> None:
        self._raised_at = now
        self._set(count)

    def _set(self, count: int) -> None:
        self._set_threads(count)
        self.count = count
