"""The edges of a segment: silence at its ends cut to the pause that the text asks for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxcpm_openai.contracts import Samples

QUIET = 10 ** (-50 / 20)
"""A block of 10 ms whose root mean square is not above this is silence."""
EDGE = 0.03
"""Seconds of silence that stay before the first sound, and at least after the last."""
NOTHING: Samples = np.zeros(0, np.float32)
"""No samples."""


class Edges:
    """Takes the samples of one segment as they are made, and gives what is to be heard of them.

    Silence goes out only as far as it may be the pause at the end; what is longer is held until
    sound follows it, and dropped where none does.  How the samples are cut into pieces makes no
    difference.  ``spoken``: whether there has been any sound yet.
    """

    def __init__(self, rate: int, pause: float) -> None:
        """``rate`` in Hz, at least 100; ``pause``: the seconds of silence after the last sound."""
        self.spoken = False
        self._rate = rate
        self._block = rate // 100
        self._lead = round(EDGE * rate)
        self._pause = round(pause * rate)
        self._longest = max(self._pause, self._lead)  # samples of silence that need not be held
        self._rest = NOTHING  # less than a block
        self._held = NOTHING  # silence that has not gone out
        self._gone = 0  # samples of silence that went out since the last sound
        self._silent = 0  # samples since the last sound, or since the beginning

    @property
    def silence(self) -> float:
        """The seconds since the last sound, or since the beginning."""
        return self._silent / self._rate

    def feed(self, samples: Samples) -> Samples:
        """Take samples; return what is to be heard now, possibly nothing."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) - len(samples) % self._block
        self._rest = samples[whole:]
        return self._sort(samples[:whole])

    def finish(self) -> Samples:
        """Return what is left, and the pause.  A segment without any sound gives nothing."""
        rest, self._rest = self._rest, NOTHING
        last = self._sort(rest)
        if not self.spoken:
            return NOTHING
        missing = np.zeros(max(0, self._pause - self._gone), np.float32)
        return np.concatenate([last, missing])

    def _sort(self, samples: Samples) -> Samples:
        """Take whole blocks, or less than one; return what is to be heard now."""
        loud = np.flatnonzero(_levels(samples, self._block) > QUIET)
        if not len(loud):
            return self._wait(samples)
        start = loud[0] * self._block
        end = (loud[-1] + 1) * self._block
        before = np.concatenate([self._held, samples[:start]])
        if not self.spoken:
            before = before[-self._lead :]
        self.spoken = True
        self._held, self._gone, self._silent = NOTHING, 0, 0
        return np.concatenate([before, samples[start:end], self._wait(samples[end:])])

    def _wait(self, silence: Samples) -> Samples:
        """Take silence; return what of it may go out although nothing may follow."""
        self._silent += len(silence)
        held = np.concatenate([self._held, silence])
        if not self.spoken:
            self._held = held[-self._lead :]
            return NOTHING
        room = self._longest - self._gone
        self._held = held[room:]
        self._gone += len(held) - len(self._held)
        return held[:room]


def _levels(samples: Samples, block: int) -> npt.NDArray[np.float32]:
    """Return the root mean square of each block, shape ``(blocks,)``."""
    if not len(samples):
        return NOTHING
    blocks = samples.reshape(-1, min(block, len(samples)))  # (blocks, samples)
    levels: npt.NDArray[np.float32] = np.sqrt(np.mean(blocks**2, axis=1))
    return levels
