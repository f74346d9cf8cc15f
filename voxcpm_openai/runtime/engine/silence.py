"""Trims the silence at the ends of a segment to the pause that the text asks for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from voxcpm_openai.contracts import Samples

SILENCE_POWER = 10 ** (-50 / 10)
"""A block of 10 ms is silent if its mean square is at most this: -50 dB."""
MARGIN = 0.03
"""Seconds of silence that are kept before the first sound, and at least after the last."""
NO_SAMPLES: Samples = np.zeros(0, np.float32)


class SilenceTrimmer:
    """Takes the samples of one segment as they are made, and returns those to deliver.

    Silence is passed on only as far as it may be the pause at the end; more of it is held back
    until sound follows, and dropped if none does.  The result does not depend on how the samples
    are cut.  ``has_sound`` tells whether there has been any sound yet.
    """

    def __init__(self, rate: int, pause: float) -> None:
        """``rate`` in Hz, at least 100; ``pause``: seconds of silence after the last sound."""
        self.has_sound = False
        self._rate = rate
        self._block = rate // 100
        self._margin = round(MARGIN * rate)
        self._pause = round(pause * rate)
        self._max_silence = max(self._pause, self._margin)  # samples that may be passed on
        self._rest = NO_SAMPLES  # less than a block
        self._held = NO_SAMPLES  # silence that is held back
        self._passed = 0  # samples of silence that were passed on since the last sound
        self._silent = 0  # samples since the last sound, or since the start

    @property
    def silence(self) -> float:
        """The seconds since the last sound, or since the start."""
        return self._silent / self._rate

    def feed(self, samples: Samples) -> Samples:
        """Take samples; return those to deliver now, possibly none.

        The result is a view of the input where possible: a copy would cost more than the rest.
        """
        samples = _joined(self._rest, samples)
        whole = len(samples) - len(samples) % self._block
        self._rest = samples[whole:]
        return self._trim(samples[:whole])

    def finish(self) -> Samples:
        """Return what is left, and the pause; nothing for a segment without any sound."""
        rest, self._rest = self._rest, NO_SAMPLES
        last = self._trim(rest)
        if not self.has_sound:
            return NO_SAMPLES
        return _joined(last, np.zeros(max(0, self._pause - self._passed), np.float32))

    def _trim(self, samples: Samples) -> Samples:
        """Take whole blocks, or less than one; return the samples to deliver now."""
        blocks = range(0, len(samples), self._block)
        last = self._loud_block(samples, blocks[::-1])  # usually the very last one
        if last is None:
            return self._hold(samples)
        end = len(self._held) + min(last + self._block, len(samples))
        start = 0
        if not self.has_sound:
            first = self._loud_block(samples, blocks) or 0
            start = max(0, len(self._held) + first - self._margin)
        samples = _joined(self._held, samples)
        passed = min(end + self._max_silence, len(samples))
        self._held, self._passed, self._silent = samples[passed:], passed - end, len(samples) - end
        self.has_sound = True
        return samples[start:passed]

    def _hold(self, silence: Samples) -> Samples:
        """Take silence; return the part that may be passed on even if nothing follows."""
        self._silent += len(silence)
        held = _joined(self._held, silence)
        if not self.has_sound:
            self._held = held[-self._margin :]
            return NO_SAMPLES
        room = self._max_silence - self._passed
        self._held = held[room:]
        self._passed += len(held) - len(self._held)
        return held[:room]

    def _loud_block(self, samples: Samples, blocks: Iterable[int]) -> int | None:
        """Return the start of the first of these blocks that is not silent, or None."""
        for start in blocks:
            block = samples[start : start + self._block]
            if block @ block > SILENCE_POWER * len(block):
                return start
        return None


def _joined(before: Samples, after: Samples) -> Samples:
    """Return both as one array, without a copy if one of them is empty."""
    if not len(before):
        return after
    return np.concatenate([before, after]) if len(after) else before
