"""Speech: the encoded audio of one utterance, made while the engine still synthesizes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from voxcpm_openai.audio import Resampler, Tempo
from voxcpm_openai.checked_stream import CheckedStream
from voxcpm_openai.contracts import AudioEncoder, Chunk, Engine, Samples, Usage, Utterance
from voxcpm_openai.errors import ClientLeft, InvalidRequest
from voxcpm_openai.gate import DeadlineGate
from voxcpm_openai.playout import PlayoutClock
from voxcpm_openai.speech_request import OutputSpec

SLOWEST = 0.25
"""The slowest tempo, of the speed and the rate of a segment together."""


class Speech:
    """An iterator over chunks of encoded audio, none of them empty.

    The engine's chunks pass the time stretching, the resampler and the encoder.  The gate bounds
    how many streams do this at once: hundreds of threads that compete for the GIL cost more than
    the work itself.  ``seconds`` is the audio encoded so far, ``segment`` the index of the current
    segment; ``utterance`` and ``output`` say what is spoken and how it is sent.
    """

    def __init__(
        self, engine: Engine, utterance: Utterance, output: OutputSpec, gate: DeadlineGate
    ) -> None:
        """Start the engine's stream.  Raises RequestError for what the engine refuses.

        ``gate``: shared by all speech that is processed on the same cores.
        """
        self.seconds = 0.0
        self.segment = 0
        self.utterance = utterance
        self.output = output
        self._rate = engine.capabilities.sample_rate
        self._clock = PlayoutClock(time.monotonic())  # of encoded audio: its tempo is 1
        self._gate = gate
        self._stream = CheckedStream(engine, utterance)
        self._ticket = gate.register()
        self._tempo = _SegmentTempo(self._rate, output)
        self._chunks = self._run()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    @property
    def usage(self) -> Usage:
        """The tokens that the engine used; final after the last chunk.  Raises SynthesisFailed."""
        return self._stream.usage

    @property
    def spans(self) -> Mapping[int, tuple[float, float]]:
        """When each segment begins and ends, by its index, in seconds of the audio that is sent.

        The end of the current segment moves until the next one begins.
        """
        return self._tempo.spans

    def cancel(self) -> None:
        """End the work from any thread; a waiting ``next()`` raises ClientLeft."""
        self._gate.unregister(self._ticket)
        self._stream.close()

    def close(self) -> None:
        """End the work and free everything; for the thread that iterates."""
        self.cancel()
        self._chunks.close()

    def _run(self) -> Generator[bytes]:
        output, tempo = self.output, self._tempo
        resampler = Resampler(self._rate, output.rate)
        encoder = output.open_encoder()
        try:
            for chunk in self._stream:
                self.segment = chunk.segment
                with self._place():
                    encoded = self._encode(encoder, resampler.feed(tempo.feed(chunk)))
                if encoded:
                    yield encoded
            with self._place():
                encoded = self._encode(encoder, resampler.feed(tempo.finish()))
                encoded += self._encode(encoder, resampler.finish())
                if not self.seconds:
                    raise InvalidRequest("'input' gave no sound at all.", param="input")
                encoded += self._encode(
                    encoder, np.zeros(round(output.tail * output.rate), np.float32)
                )
                encoded += encoder.finish()
            if encoded:
                yield encoded
        finally:
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

    def _encode(self, encoder: AudioEncoder, samples: Samples) -> bytes:
        if not len(samples):
            return b""
        seconds = len(samples) / self.output.rate
        self.seconds += seconds
        self._clock.deliver(seconds, time.monotonic())
        return encoder.feed(samples)


class _SegmentTempo:
    """The tempo of a stream, which follows the rates of its segments; adds the leading pause.

    ``spans``: see ``Speech.spans``.
    """

    def __init__(self, rate: int, output: OutputSpec) -> None:
        """``rate``: of the engine's samples, in Hz."""
        self._rate = rate
        self._output = output
        self._factor = 0.0
        self._tempo = Tempo(rate, 1.0)
        self._at = output.lead
        self.spans: dict[int, tuple[float, float]] = {}

    def feed(self, chunk: Chunk) -> Samples:
        """Take a chunk; return the samples that are ready."""
        ready = []
        if not self._factor:
            ready.append(np.zeros(round(self._output.lead * self._rate), np.float32))
        rates = self._output.rates
        factor = self._output.tempo * (rates[chunk.segment] if rates else 1.0)
        factor = max(factor, SLOWEST)
        if factor != self._factor:
            ready.append(self._tempo.finish())
            self._tempo, self._factor = Tempo(self._rate, factor), factor
        start, _ = self.spans.get(chunk.segment, (self._at, self._at))
        self._at += len(chunk.samples) / self._rate / factor
        self.spans[chunk.segment] = (start, self._at)
        return np.concatenate([*ready, self._tempo.feed(chunk.samples)])

    def finish(self) -> Samples:
        """Return the remaining samples."""
        return self._tempo.finish()
