"""Speech: the bytes of one utterance, made while the engine still speaks."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from voxcpm_openai.audio import Resampler, Tempo
from voxcpm_openai.contracts import Engine, Samples, Usage, Utterance
from voxcpm_openai.errors import ClientLeft, InvalidRequest
from voxcpm_openai.resolve import Plan


class Speech:
    """An iterator over pieces of encoded sound, none of them empty.

    The engine's chunks go through the tempo, the resampler and the encoder.  ``seconds`` counts
    the sound handed out so far, ``segment`` is the segment that it has come to.
    """

    def __init__(self, engine: Engine, utterance: Utterance, plan: Plan) -> None:
        """Ask the engine for a stream.  Raises RequestError for what it refuses."""
        self.seconds = 0.0
        self.segment = 0
        self._plan = plan
        self._rate_in = engine.sample_rate
        self._cancelled = False
        self._stream = engine.speak(utterance)
        self._pieces = self._run()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    @property
    def usage(self) -> Usage:
        """What the engine spent; final after the last piece."""
        return self._stream.usage

    def cancel(self) -> None:
        """End the work from any thread; a waiting ``next()`` raises ClientLeft."""
        self._cancelled = True
        self._stream.close()

    def close(self) -> None:
        """End the work and free everything; for the thread that iterates."""
        self._stream.close()
        self._pieces.close()

    def _run(self) -> Generator[bytes]:
        encoder = self._plan.format.open(self._plan.rate)
        try:
            for samples in self._samples():
                if not len(samples):
                    continue
                self.seconds += len(samples) / self._plan.rate
                if piece := encoder.feed(samples):
                    yield piece
            if self._cancelled:
                raise ClientLeft
            if not self.seconds:
                raise InvalidRequest("'input' gave no sound at all.", param="input")
            if piece := encoder.finish():
                yield piece
        finally:
            encoder.close()

    def _samples(self) -> Iterator[Samples]:
        """Yield the samples that go out, at the plan's tempo and rate."""
        tempo = Tempo(self._rate_in, self._plan.tempo)
        resampler = Resampler(self._rate_in, self._plan.rate)
        for chunk in self._stream:
            self.segment = chunk.segment
            yield resampler.feed(tempo.feed(chunk.samples))
        yield resampler.feed(tempo.finish())
        yield resampler.finish()
