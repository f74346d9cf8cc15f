"""The edges of a segment: silence at its ends cut to the pause that the text asks for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from voxcpm_openai.contracts import Samples

QUIET = 10 ** (-50 / 10)
"""A block of 10 ms whose mean square is not above this, -50 dB, is silence."""
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
        """Take samples; return what is to be heard now, possibly nothing.

        That is a view of them as far as it can be: a copy would cost more than all the rest.
        """
        samples = _joined(self._rest, samples)
        whole = len(samples) - len(samples) % self._block
        self._rest = samples[whole:]
        return self._sort(samples[:whole])

    def finish(self) -> Samples:
        """Return what is left, and the pause.  A segment without any sound gives nothing."""
        rest, self._rest = self._rest, NOTHING
        last = self._sort(rest)
        if not self.spoken:
            return NOTHING
        return _joined(last, np.zeros(max(0, self._pause - self._gone), np.float32))

    def _sort(self, samples: Samples) -> Samples:
        """Take whole blocks, or less than one; return what is to be heard now."""
        blocks = range(0, len(samples), self._block)
        last = self._loud(samples, blocks[::-1])  # mostly the very last: the rest is not looked at
        if last is None:
            return self._wait(samples)
        end = len(self._held) + min(last + self._block, len(samples))
        begin = 0
        if not self.spoken:
            first = self._loud(samples, blocks) or 0
            begin = max(0, len(self._held) + first - self._lead)
        samples = _joined(self._held, samples)
        gone = min(end + self._longest, len(samples))
        self._held, self._gone, self._silent = samples[gone:], gone - end, len(samples) - end
        self.spoken = True
        return samples[begin:gone]

    def _wait(self, silence: Samples) -> Samples:
        """Take silence; return what of it may go out although nothing may follow."""
        self._silent += len(silence)
        held = _joined(self._held, silence)
        if not self.spoken:
            self._held = held[-self._lead :]
            return NOTHING
        room = self._longest - self._gone
        self._held = held[room:]
        self._gone += len(held) - len(self._held)
        return held[:room]

    def _loud(self, samples: Samples, blocks: Iterable[int]) -> int | None:
        """Return where the first of these blocks begins that is not silent, or None."""
        for begin in blocks:
            block = samples[begin : begin + self._block]
            if block @ block > QUIET * len(block):
                return begin
        return None


def _joined(before: Samples, after: Samples) -> Samples:
    """Return both as one array: one of them itself where the other is empty."""
    if not len(before):
        return after
    return np.concatenate([before, after]) if len(after) else before
