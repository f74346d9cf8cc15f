"""The session: text in from one thread, events with audio out in another."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from voxcpm_openai.accounts.account import NullAccount, UsageAccount
from voxcpm_openai.checked_stream import CheckedStream
from voxcpm_openai.contracts import Engine, Usage, Utterance
from voxcpm_openai.errors import ClientLeft, InvalidRequest, NothingToSay, RequestError
from voxcpm_openai.limits import StreamLimiter, StreamPermit
from voxcpm_openai.output_chain import OutputChain
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.resolve import Resolver
from voxcpm_openai.session.alignment import Alignment, Progress, align
from voxcpm_openai.session.cutter import Passage
from voxcpm_openai.session.events import (
    AudioMade,
    Interruption,
    PassageEnded,
    PassageStarted,
    SessionEnded,
    SessionEvent,
    SessionFailed,
)
from voxcpm_openai.session.passage_queue import PassageQueue
from voxcpm_openai.session.timeline import Timeline
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.text.plan import TextPlan
from voxcpm_openai.text.split import weight

PATIENCE = 10.0
"""Seconds that a session which was heard already waits for a permit."""


class SpeechSession(Iterator[SessionEvent]):
    """Speaks a text that comes piece by piece, as one utterance.

    One thread iterates over the events, which does all the work: nothing is made that nobody asks
    for.  Any thread adds text; any thread may cancel.  Each passage is a stream of the engine, with
    the same voice, seed and speed, which goes on from the one before where the engine can; their
    audio passes one output chain, so that the bytes are one stream.  A session holds a permit of
    ``limits`` while it has something to say, not while it waits for text.
    """

    def __init__(
        self,
        engine: Engine,
        resolver: Resolver,
        limits: StreamLimiter,
        request: SpeechRequest,
        principal: Principal = ANONYMOUS,
        account: UsageAccount | None = None,
    ) -> None:
        """``request``: everything but the text; its ``input`` is not read.  Raises RequestError.

        ``account``: charged for each passage before it is synthesized.
        """
        can = engine.capabilities
        self.request, self._engine = request, engine
        self._utterance, self.output = resolver.resolve_session(request, engine, principal)
        self.voice = self._utterance.voice
        if self._utterance.seed is None and "seed" in can.params:
            # A voice without a clip is drawn from the seed: all passages must have the same.
            self._utterance = replace(self._utterance, seed=secrets.randbits(31))
        self._planner = resolver.planner(request, self._utterance.voice, can, principal)
        self._limits = limits
        self._account = account or NullAccount()
        self._model = resolver.preset(request.model).id
        self._uncharged = self._unrecorded = 1  # requests: a session is one
        self._queue = PassageQueue(resolver.settings.max_input_chars)
        self._timeline = Timeline(self._utterance.speed * self.output.tempo)
        self._rate = can.sample_rate
        self._told = 0.0  # seconds of audio in events
        self._lead = self.output.lead  # seconds of silence before the first word, until it is said
        self._refusal: InvalidRequest | None = None  # of the last passage that could not be said
        self._tokens = [0, 0]
        self._stream: CheckedStream | None = None
        self._permit: StreamPermit | None = None
        self._closed = False
        self._lock = threading.Lock()  # of the three above
        self._iterating = threading.Lock()
        self._chain = OutputChain(self._rate, self.output, limits.gate)
        self._events = self._run()

    # For the thread that has the text

    def append(self, text: str, *, timeout: float = 0.0) -> None:
        """Add text.  What is safe to say is said, the rest waits for more text.

        At most ``max_input_chars`` characters may wait to be said; ``timeout``: seconds to wait for
        room.  Raises InvalidRequest if there is none, and after ``finish``; ClientLeft after
        ``cancel``; the session's error.
        """
        self._queue.append(text, timeout)

    def flush(self) -> None:
        """Say all that is there, as if the text ended here.  Raises as ``append``."""
        self._queue.flush()

    def finish(self) -> None:
        """End the text; all of it will be said.  Raises as ``append``."""
        self._queue.flush(last=True)

    # For any thread

    @property
    def waiting(self) -> int:
        """The number of characters that are not being said yet."""
        return self._queue.waiting

    @property
    def working(self) -> bool:
        """Whether there is something to do before more text comes."""
        return not self._queue.idle

    @property
    def seconds(self) -> float:
        """The audio encoded so far, in seconds."""
        return self._chain.seconds

    @property
    def usage(self) -> Usage:
        """The tokens of all passages that have ended."""
        return Usage(max(1, self._tokens[0]), max(1, self._tokens[1]))

    def interrupt(self, playback_ms: float) -> Interruption:
        """Cancel; return which text a listener has heard who has played so much of the audio.

        The two parts together are the text as it was appended.  May be called again.
        """
        self.cancel()
        text = self._queue.text
        length = self._timeline.length_heard(playback_ms / 1000)
        return Interruption(text[:length], text[length:])

    def cancel(self) -> None:
        """End the work at once, and free the permit and the engine's stream; wakes all threads."""
        with self._lock:
            self._closed = True
            stream = self._stream
        self._queue.close()
        self._chain.cancel()
        if stream is not None:
            stream.close()
        self._leave()
        self._limits.wake()

    def close(self) -> None:
        """Cancel and free everything.  May be called twice."""
        self.cancel()
        with self._iterating:  # a thread in `next` has been woken
            self._events.close()
            self._chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    # For the thread that iterates

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SessionEvent:
        """Wait for the next event.  Raises StopIteration at the end, and after ``cancel``."""
        with self._iterating:
            return next(self._events)

    def _run(self) -> Generator[SessionEvent]:
        last = 0
        try:
            self._chain.open()
            while (passage := self._next()) is not None:
                yield from self._say(passage)
                last = passage.number
            data = self._chain.finish(self.output.tail)
            self._leave()
            if self._refusal is not None and not self.seconds:
                raise self._refusal
            if data:
                yield self._made(data, last, "")
            yield SessionEnded()
        except ClientLeft:
            return
        except RequestError as error:
            self._queue.close(error)
            self._leave()
            yield SessionFailed(error)
        finally:
            self._leave()
            self._chain.close()

    def _next(self) -> Passage | None:
        """Wait for the next passage, without a permit."""
        if not self._queue.ready:
            self._leave()
        return self._queue.next()

    def _say(self, passage: Passage) -> Generator[SessionEvent]:
        """Yield the events of a passage."""
        said = self._plan(passage)
        yield PassageStarted(passage, round(1000 * self._timeline.now))
        said_weight = sum(weight(segment.text) for segment in said.segments) if said else 0
        progress = Progress(passage.text, self._timeline.start(passage, said_weight))
        if said is not None:
            yield from self._audio(passage, said, progress)
        pause = 0.0
        if said is not None and self._timeline.speaking:
            rate = said.written[-1].rate
            # A pause that the text asks for is a part of the engine's audio.  After the end of the
            # text none is needed, although the passage may have been flushed before it.
            without = said.written[-1].pause or self._queue.ended
            pause = 0.0 if without else passage.pause
            data = self._chain.pause(pause, rate)
            pause /= self._chain.factor(rate)
            yield self._made(data, passage.number, progress.rest())
        start, seconds = self._timeline.end(pause, self.seconds)
        alignment = align(passage.text, seconds) if seconds else Alignment()
        yield PassageEnded(passage, round(1000 * start), round(1000 * seconds), alignment)

    def _plan(self, passage: Passage) -> TextPlan | None:
        """Return what is said for a passage, or None if there is nothing to say."""
        if passage.silent or passage.text.isspace():
            return None
        try:
            return self._planner.plan(passage.text, continued=passage.number > 0)
        except NothingToSay as refusal:
            self._refusal = refusal
            return None

    def _audio(
        self, passage: Passage, said: TextPlan, progress: Progress
    ) -> Generator[SessionEvent]:
        """Yield the audio of a passage.  What the engine cannot say of it is left out."""
        utterance = replace(
            self._utterance,
            segments=said.segments,
            tempo=self._utterance.tempo * said.fastest,
            languages=said.languages,
        )
        rates = tuple(segment.rate for segment in said.written)
        lead = said.lead + self._lead
        self._enter()
        self._account.charge(self._uncharged, len(passage.text))
        self._uncharged = 0
        before = self.seconds
        try:
            stream = self._opened(utterance)
            for chunk in stream:
                rate = rates[min(chunk.segment, len(rates) - 1)]
                data = self._chain.feed(chunk.samples, rate, lead)
                if lead:
                    self._timeline.wait(lead)
                seconds = len(chunk.samples) / self._rate / self._chain.factor(rate)
                made = self._timeline.add(seconds)
                if data:
                    yield self._made(data, passage.number, progress.take(made), lead)
                lead = self._lead = 0.0
            usage = stream.usage
            self._tokens[0] += usage.input_tokens
            self._tokens[1] += usage.output_tokens
            if not self._closed:  # otherwise the stream did not end by itself
                self._utterance = replace(self._utterance, continuation=stream.continuation)
        except InvalidRequest as refusal:
            if refusal.param != "input" or self._timeline.speaking:
                raise
            self._refusal = refusal
        finally:
            self._close_stream()
            if self.seconds > before:
                self._account.record(self._model, self._unrecorded, len(passage.text))
                self._unrecorded = 0

    def _made(self, data: bytes, passage: int, characters: str, lead: float = 0.0) -> AudioMade:
        """Return the event of new audio, which begins with ``lead`` seconds of silence."""
        start, self._told = self._told, self.seconds
        start_ms, end_ms = round(1000 * start), round(1000 * self._told)
        spoken = max(0.0, self._told - start - lead)
        alignment = align(characters, spoken, lead) if characters else Alignment()
        return AudioMade(data, passage, start_ms, end_ms - start_ms, alignment)

    def _opened(self, utterance: Utterance) -> CheckedStream:
        """Start a stream of the engine.  Raises ClientLeft if the session is cancelled."""
        stream = CheckedStream(self._engine, utterance)
        with self._lock:
            self._stream = stream
            closed = self._closed
        if closed:
            raise ClientLeft
        return stream

    def _close_stream(self) -> None:
        """End the engine's stream."""
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _enter(self) -> None:
        """Have a permit.  Raises Overloaded, RateLimited, ClientLeft."""
        with self._lock:
            if self._permit is not None:
                return
        if self.seconds:
            permit = self._limits.reenter(PATIENCE, lambda: self._closed, self._account.holder)
        else:
            permit = self._limits.enter(self._account.holder)
        with self._lock:
            if not self._closed:
                self._permit = permit
                return
        permit.__exit__()
        raise ClientLeft

    def _leave(self) -> None:
        """Give the permit back, if there is one."""
        with self._lock:
            permit, self._permit = self._permit, None
        if permit is not None:
            permit.__exit__()
