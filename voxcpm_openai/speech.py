"""Speech: the bytes of one utterance, made while the engine still speaks."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from voxcpm_openai.audio import Resampler, Tempo
from voxcpm_openai.contracts import Encoder, Engine, Samples, Usage, Utterance
from voxcpm_openai.errors import ClientLeft, InvalidRequest
from voxcpm_openai.resolve import Plan
from voxcpm_openai.turns import Turns


class Speech:
    """An iterator over pieces of encoded sound, none of them empty.

    The engine's chunks go through the tempo, the resampler and the encoder, when it is this
    stream's turn: a crowd that works all at once only gets in each other's way, and in the
    engine's.  ``seconds`` counts the sound handed out so far, ``segment`` is the segment that it
    has come to.
    """

    def __init__(self, engine: Engine, utterance: Utterance, plan: Plan, turns: Turns) -> None:
        """Ask the engine for a stream.  Raises RequestError for what it refuses.

        ``turns``: shared by all speech that is made on the same cores.
        """
        self.seconds = 0.0
        self.segment = 0
        self._plan = plan
        self._rate_in = engine.sample_rate
        self._cancelled = False
        self._dry_at = time.monotonic()  # when the listener has heard all; before that, now
        self._stream = engine.speak(utterance)
        self._turns = turns
        self._ticket = turns.enter()
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
        self._leave()

    def close(self) -> None:
        """End the work and free everything; for the thread that iterates."""
        self._leave()
        self._pieces.close()

    def _leave(self) -> None:
        self._stream.close()
        self._turns.leave(self._ticket)

    def _run(self) -> Generator[bytes]:
        plan = self._plan
        tempo = Tempo(self._rate_in, plan.tempo)
        resampler = Resampler(self._rate_in, plan.rate)
        encoder = plan.format.open(plan.rate)
        try:
            for chunk in self._stream:
                self.segment = chunk.segment
                with self._turn():
                    piece = self._encode(encoder, resampler.feed(tempo.feed(chunk.samples)))
                if piece:
                    yield piece
            if self._cancelled:
                raise ClientLeft
            with self._turn():
                piece = self._encode(encoder, resampler.feed(tempo.finish()))
                piece += self._encode(encoder, resampler.finish())
                if not self.seconds:
                    raise InvalidRequest("'input' gave no sound at all.", param="input")
                piece += encoder.finish()
            if piece:
                yield piece
        finally:
            encoder.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for a turn, those first whose listeners run dry first.  Raises ClientLeft."""
        if not self._turns.take(self._ticket, self._dry_at):
            raise ClientLeft
        try:
            yield
        finally:
            self._turns.give(self._ticket)

    def _encode(self, encoder: Encoder, samples: Samples) -> bytes:
        if not len(samples):
            return b""
        seconds = len(samples) / self._plan.rate
        self.seconds += seconds
        # A listener who ran dry plays on from now.
        self._dry_at = max(self._dry_at, time.monotonic()) + seconds
        return encoder.feed(samples)
