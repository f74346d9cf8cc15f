"""The output chain: an engine's samples → tempo → sample rate → encoded bytes, for one listener."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from voxcpm_openai.audio import Resampler, Tempo
from voxcpm_openai.contracts import Samples
from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.formats import AudioEncoder
from voxcpm_openai.gate import DeadlineGate
from voxcpm_openai.playout import PlayoutClock
from voxcpm_openai.speech_request import OutputSpec

SLOWEST = 0.25
"""The slowest tempo, of the speed and the rate of a segment together."""


class OutputChain:
    """Encodes the audio of one listener as one stream, in the thread that iterates.

    The gate bounds how many chains work at once: hundreds of threads that compete for the GIL cost
    more than the work itself.  ``seconds`` is the audio encoded so far.
    """

    def __init__(self, rate: int, output: OutputSpec, gate: DeadlineGate) -> None:
        """``rate``: of the engine's samples, in Hz.  Raises Unavailable if the gate is closed.

        ``gate``: shared by all chains that work on the same cores.
        """
        self.seconds = 0.0
        self._output = output
        self._rate = rate
        self._clock = PlayoutClock(time.monotonic())  # of encoded audio: its tempo is 1
        self._gate = gate
        self._ticket = gate.register()
        self._factor = 0.0  # of the tempo; 0 while it has nothing
        self._tempo = Tempo(rate, 1.0)
        self._resampler = Resampler(rate, output.rate)
        self._encoder: AudioEncoder | None = None

    def open(self) -> None:
        """Open the encoder; once, before the first samples."""
        self._encoder = self._output.open_encoder()

    def factor(self, rate: float) -> float:
        """Return the factor by which a segment of this ``Segment.rate`` is sped up."""
        return max(self._output.tempo * rate, SLOWEST)

    def feed(self, samples: Samples, rate: float = 1.0, lead: float = 0.0) -> bytes:
        """Take samples of a segment of this rate; return the bytes that are ready.

        ``lead``: seconds of silence before them.  Raises ClientLeft after ``cancel``.
        """
        with self._place():
            ready = []
            factor = self.factor(rate)
            if factor != self._factor:
                if self._factor:
                    ready.append(self._tempo.finish())
                self._tempo, self._factor = Tempo(self._rate, factor), factor
            if lead:
                ready.append(np.zeros(round(lead * self._rate), np.float32))
            ready.append(self._tempo.feed(samples))
            return self._encode(self._resampler.feed(np.concatenate(ready)))

    def pause(self, seconds: float, rate: float = 1.0) -> bytes:
        """Add the pause after a segment of this rate; return all bytes but what the encoder holds.

        What comes next may come late: the tempo must keep nothing of the speech.
        """
        encoded = self.feed(np.zeros(round(seconds * self._rate), np.float32), rate)
        with self._place():
            self._factor = 0.0
            return encoded + self._encode(self._resampler.feed(self._tempo.finish()))

    def finish(self, tail: float = 0.0) -> bytes:
        """Return the remaining bytes: none if there was no audio.  Raises ClientLeft.

        ``tail``: seconds of silence at the end.
        """
        with self._place():
            encoded = b""
            if self._factor:
                encoded += self._encode(self._resampler.feed(self._tempo.finish()))
            encoded += self._encode(self._resampler.finish())
            if not self.seconds:
                return encoded
            encoded += self._encode(np.zeros(round(tail * self._output.rate), np.float32))
            return encoded + self._opened().finish()

    def cancel(self) -> None:
        """Take no more places at the gate; wakes a thread that waits there.  Any thread may."""
        self._gate.unregister(self._ticket)

    def close(self) -> None:
        """Free the encoder; for the thread that iterates.  May be called twice."""
        self.cancel()
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.close()

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Wait for a place at the gate, in the order of deadlines.  Raises ClientLeft."""
        if not self._gate.acquire(self._ticket, self._clock.deadline):
            raise ClientLeft
        try:
            yield
        finally:
            self._gate.release(self._ticket)

    def _encode(self, samples: Samples) -> bytes:
        if not len(samples):
            return b""
        seconds = len(samples) / self._output.rate
        self.seconds += seconds
        self._clock.deliver(seconds, time.monotonic())
        return self._opened().feed(samples)

    def _opened(self) -> AudioEncoder:
        if self._encoder is None:
            raise ClientLeft
        return self._encoder
