"""Pace: how long a device is at a step, and when the next one is to be launched.

Too late, and the device has nothing to do; too early, and whoever comes meanwhile joins a step
later.  Times are seconds on the caller's clock.
"""

from __future__ import annotations

from voxcpm_openai.runtime.scheduler import smoothed

LEAD_SECONDS, LEAD_SHARE = 0.001, 0.15
"""How long before a step's end the next one is launched: so much, and a share of what it takes.

It covers the launch, and a thread that wakes up late.
"""


class Pace:
    """Learns from each step.  ``step_seconds`` is a moving average, 0 before the first."""

    def __init__(self) -> None:
        self.step_seconds = 0.0
        self._lasted = 0.0  # the last step
        self._free = 0.0  # when the device was through with it

    def landed(self, launched: float, now: float) -> float:
        """Note that a step is done, and return how long it took.

        It began when it was launched, or behind the one before.
        """
        self._lasted = now - max(launched, self._free)
        self._free = now
        self.step_seconds = smoothed(self.step_seconds, self._lasted)
        return self._lasted

    def next_launch(self, launched: float) -> float:
        """Return when to launch the step behind one that is under way."""
        ends = max(launched, self._free) + self._lasted
        return ends - LEAD_SECONDS - LEAD_SHARE * self._lasted
