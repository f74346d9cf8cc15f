"""How long steps take: the cost of a step by its rows, and when to launch the next one.

Times are seconds on the caller's clock.
"""

from __future__ import annotations

from collections import defaultdict, deque
from statistics import median

SMOOTHING = 0.1
"""The weight of the newest measurement in a moving average."""
RECENT = 5
"""Steps whose median is the cost: on a machine that others use, some take half as long again."""
COST_DECAY = 0.99
"""A cost that forbids more rows is multiplied by this at each query, so that it is tried again."""
LAUNCH_LEAD_SECONDS, LAUNCH_LEAD_SHARE = 0.001, 0.15
"""The next step is launched this long before the current one ends: a constant, and a share of the
step's duration.  It covers the launch itself and a thread that wakes up late."""


def smoothed(average: float, value: float) -> float:
    """Return the moving average after ``value``; an ``average`` of 0 means no measurement yet."""
    return average + SMOOTHING * (value - average) if average else value


class StepCostModel:
    """Estimates whether a step of n rows is fast enough.

    It keeps the last durations for each number of rows; a step with more rows takes no less time.
    """

    def __init__(self) -> None:
        self._recent: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._measured: dict[int, float] = {}  # their median, by the number of rows
        self._seconds: dict[int, float] = {}  # the same, with a decay

    def record(self, rows: int, seconds: float) -> None:
        """Record the duration of a step.  A step without rows, which only prefills, is ignored."""
        if not rows:
            return
        for fewer in self._seconds:
            if fewer < rows:
                self._seconds[fewer] = min(self._seconds[fewer], seconds)
        self._recent[rows].append(seconds)
        self._seconds[rows] = self._measured[rows] = median(self._recent[rows])

    def keeps_up(self, rows: int, within: float) -> bool:
        """Return whether a step of ``rows`` rows takes at most ``within`` seconds or is unknown."""
        slow = [
            count for count, seconds in self._seconds.items() if count <= rows and seconds > within
        ]
        for count in slow:
            self._seconds[count] *= COST_DECAY
        return not slow

    def fits(self, rows: int, within: float) -> bool:
        """Return whether a step of just ``rows`` rows takes at most ``within``, or is unknown."""
        if self._seconds.get(rows, 0.0) <= within:
            return True
        self._seconds[rows] *= COST_DECAY
        return False

    def at_most(self, rows: int) -> float:
        """Return what a step of ``rows`` rows may take in seconds; 0 before the first was measured.

        Further rows cost no more than those before them, which share the weights.
        """
        known = self._measured.items()
        return min((seconds * max(1.0, rows / count) for count, seconds in known), default=0.0)


class LaunchTimer:
    """Decides when to launch the step after the one in flight.

    Too late, and the device idles; too early, and a request that arrives meanwhile joins one step
    later.  ``step_seconds`` is a moving average of the duration of steps, 0 before the first.
    """

    def __init__(self) -> None:
        self.step_seconds = 0.0
        self._last_seconds = 0.0
        self._device_free_at = 0.0

    def step_done(self, launched: float, now: float) -> float:
        """Record the end of a step and return its duration.

        A step starts when it is launched, or when the one before it ends.
        """
        self._last_seconds = now - max(launched, self._device_free_at)
        self._device_free_at = now
        self.step_seconds = smoothed(self.step_seconds, self._last_seconds)
        return self._last_seconds

    def next_launch(self, launched: float) -> float:
        """Return when to launch the step after the one launched at ``launched``."""
        end = max(launched, self._device_free_at) + self._last_seconds
        return end - LAUNCH_LEAD_SECONDS - LAUNCH_LEAD_SHARE * self._last_seconds
