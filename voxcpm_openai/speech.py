"""Speech: the encoded audio of one utterance, made while the engine still synthesizes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

from voxcpm_openai.checked_stream import CheckedStream
from voxcpm_openai.contracts import Chunk, Engine, Usage, Utterance
from voxcpm_openai.errors import InvalidRequest, SynthesisFailed
from voxcpm_openai.gate import DeadlineGate
from voxcpm_openai.output_chain import OutputChain
from voxcpm_openai.speech_request import OutputSpec


class Speech:
    """An iterator over chunks of encoded audio, none of them empty.

    The engine's chunks pass an output chain.  ``segment`` is the index of the current segment;
    ``utterance`` and ``output`` say what is spoken and how it is sent.
    """

    def __init__(
        self, engine: Engine, utterance: Utterance, output: OutputSpec, gate: DeadlineGate
    ) -> None:
        """Start the engine's stream.  Raises RequestError for what the engine refuses.

        ``gate``: shared by all speech that is processed on the same cores.
        """
        self.segment = 0
        self.utterance = utterance
        self.output = output
        self._complete = False
        self._at = output.lead
        self._spans: dict[int, tuple[float, float]] = {}
        self._stream = CheckedStream(engine, utterance)
        self._rate = engine.capabilities.sample_rate
        self._chain = OutputChain(self._rate, output, gate)
        self._chunks = self._run()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    @property
    def seconds(self) -> float:
        """The audio encoded so far, in seconds."""
        return self._chain.seconds

    @property
    def complete(self) -> bool:
        """Whether all of it was produced, without an error."""
        return self._complete

    @property
    def progress(self) -> float:
        """The synthesized part of the text, from 0 to 1; a segment that has begun counts."""
        if self._complete or not self.seconds:
            return float(self._complete)
        lengths = [len(text) for text in self.output.written] or [1]
        return sum(lengths[: self.segment + 1]) / max(1, sum(lengths))

    @property
    def usage(self) -> Usage:
        """The tokens that the engine used; final after the last chunk.  Raises SynthesisFailed."""
        try:
            return self._stream.usage
        except SynthesisFailed:
            self._complete = False  # the client is sent the error in an event
            raise

    @property
    def continuation(self) -> object:
        """What an utterance whose text goes on here is given; valid after the last chunk."""
        return self._stream.continuation

    @property
    def spans(self) -> Mapping[int, tuple[float, float]]:
        """When each segment begins and ends, by its index, in seconds of the audio that is sent.

        The end of the current segment moves until the next one begins.
        """
        return self._spans

    def cancel(self) -> None:
        """End the work from any thread; a waiting ``next()`` raises ClientLeft."""
        self._chain.cancel()
        self._stream.close()

    def close(self) -> None:
        """End the work and free everything; for the thread that iterates."""
        self.cancel()
        self._chunks.close()

    def _run(self) -> Generator[bytes]:
        rates, lead = self.output.rates, self.output.lead
        self._chain.open()
        try:
            for chunk in self._stream:
                self.segment = chunk.segment
                rate = rates[chunk.segment] if rates else 1.0
                self._note_span(chunk, rate)
                encoded = self._chain.feed(chunk.samples, rate, lead)
                lead = 0.0
                if encoded:
                    yield encoded
            encoded = self._chain.finish(self.output.tail)
            self._complete = bool(self.seconds)
            if not self.seconds:
                raise InvalidRequest("'input' gave no sound at all.", param="input")
            if encoded:
                yield encoded
        finally:
            self._chain.close()

    def _note_span(self, chunk: Chunk, rate: float) -> None:
        start, _ = self._spans.get(chunk.segment, (self._at, self._at))
        self._at += len(chunk.samples) / self._rate / self._chain.factor(rate)
        self._spans[chunk.segment] = (start, self._at)
