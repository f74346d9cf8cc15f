"""An utterance of ``/v1/audio/speech/stream``: a text between two ``input.done``, and its audio."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np

from voxcpm_openai.contracts import Samples
from voxcpm_openai.errors import InvalidRequest, RequestError
from voxcpm_openai.output_chain import OutputChain
from voxcpm_openai.session import (
    AudioMade,
    PassageEnded,
    PassageStarted,
    SessionEnded,
    SessionEvent,
    SessionFailed,
    SpeechSession,
)
from voxcpm_openai.speech_request import OutputSpec, SpeechRequest
from voxcpm_openai.web.sockets.channel import Channel
from voxcpm_openai.web.sockets.conversation import Opening

MAX_WHOLE = 64 * 1024 * 1024
"""The most audio that is sent as a whole, in bytes of 16 bits a sample."""
FULL_SCALE = 32767
"""The 16-bit value of a sample of 1.0."""


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of a session, which its utterances have.

    ``request``: of their sessions.  ``output``: what the client gets.  ``streams``: the audio as it
    is made; else that of a sentence as a whole.  ``granularity``: with "none", an utterance is one
    sentence.  ``words``: as JSON that has a place for the times of words.
    """

    request: SpeechRequest
    output: OutputSpec
    streams: bool
    granularity: str
    words: bool


@dataclass(slots=True)
class _Sentence:
    """What was sent of a sentence; ``passage``: the number of its passage; times in ms."""

    index: int
    passage: int
    start_ms: int
    end_ms: int
    chunks: int = 0
    size: int = 0
    samples: bytearray = field(default_factory=bytearray)  # that wait to be sent as a whole


class StreamUtterance:
    """Has text from one thread, and sends messages in the thread that says it."""

    def __init__(
        self,
        index: int,
        config: Config,
        opening: Opening,
        channel: Channel,
        settle: Callable[[StreamUtterance, RequestError | None], None],
    ) -> None:
        """``settle``: called when its session has ended, with the error if it has failed."""
        self.config = config
        self.session: SpeechSession | None = None
        self.finished = False
        """Whether all of its text is there."""
        self.failed = False
        self.sentences = 0
        self._index = index
        self._gate = opening.context.limits.gate
        self._channel = channel
        self._settle = settle
        self._text = ""  # before there is a session
        self._passage: PassageStarted | None = None  # the one that is being said
        self._sentence: _Sentence | None = None  # the one whose audio.done was not sent
        self._said = False
        self._told: RequestError | None = None
        self._lock = threading.Lock()  # of the errors, which two threads find

    # For the thread that has the text

    @property
    def over(self) -> bool:
        """Whether nothing more will be said, and the client knows where the utterance ends."""
        nothing = self.session is None and not self._text.strip()
        return self.finished and (self.failed or self._said or nothing)

    @property
    def ready(self) -> bool:
        """Whether a session can begin."""
        waits = self.config.granularity == "none" and not self.finished
        unsaid = self.session is None and not self.failed
        return unsaid and not waits and bool(self._text.strip())

    def buffer(self, text: str, limit: int) -> None:
        """Keep text until there is a session.  Raises InvalidRequest beyond ``limit``."""
        if self.failed:
            return
        if len(self._text) + len(text) > limit:
            raise InvalidRequest(
                f"{len(self._text)} characters of this utterance wait to be spoken; with these "
                f"{len(text)} they would be more than {limit}. "
                "(The operator sets the limit: VOXCPM_MAX_INPUT_CHARS.)",
                param="text",
            )
        self._text += text

    def begin(self, session: SpeechSession) -> None:
        """Give the text to a session.  Raises RequestError."""
        session.append(self._text)
        if self.finished:
            session.finish()
        self.session = session

    def finish(self) -> None:
        """End the text."""
        self.finished = True
        if self.session is not None and not self.failed:
            try:
                self.session.finish()
            except RequestError:
                pass  # the session has failed, and says so in its thread

    def tells(self, error: RequestError) -> bool:
        """Return whether the client has to be told of an error, which two threads may find."""
        with self._lock:
            known = self.failed or self._told is error
            self._told = error
            return not known

    # For the thread that says it

    def handle(self, event: SessionEvent) -> None:
        """Send what an event of the session means."""
        match event:
            case PassageStarted():
                self._passage = event
            case AudioMade():
                self._take(event)
            case PassageEnded():
                self._passage = None
                if not self._may_grow():
                    self._end_sentence()
            case SessionEnded():
                self._end_sentence()
                self._said = True
                self._settle(self, None)
            case SessionFailed(error):
                self._settle(self, error)

    def fail(self, error: RequestError, message: dict[str, object]) -> None:
        """Send an error, and end the sentence without the rest of its audio."""
        is_news = self.tells(error)
        self.failed = True
        sentence = self._sentence
        if is_news:
            partial = {"partial_audio": True, "action": "discard"}
            self._channel.send_json({**message, **(partial if sentence and sentence.size else {})})
        if sentence is not None:
            sentence.samples.clear()
            self._end_sentence(failed=True)

    def send(self, kind: str, **fields: object) -> None:
        """Send a message of this utterance."""
        self._channel.send_json({"type": kind, "utterance_index": self._index, **fields})

    def _take(self, made: AudioMade) -> None:
        """Send audio, or keep it until the sentence is whole."""
        sentence = self._sentence
        if self._passage is not None and (sentence is None or self._is_next(sentence)):
            self._end_sentence()
            sentence = self._begin_sentence(self._passage, made)
        if sentence is None:
            return  # what the resampler still had: silence after a pause
        start, sentence.end_ms = sentence.end_ms, made.start_ms + made.duration_ms
        if self.config.streams:
            self._send_audio(sentence, made.data, start)
            return
        sentence.samples += made.data
        if len(sentence.samples) > MAX_WHOLE and self.session is not None:
            self.session.cancel()
            limit = f"more than {MAX_WHOLE >> 20} MiB, which is the limit without 'stream_audio'"
            self._settle(self, InvalidRequest(f"The audio of a sentence is {limit}."))

    def _is_next(self, sentence: _Sentence) -> bool:
        """Return whether the current passage is a sentence after this one."""
        assert self._passage is not None
        split = self.config.granularity != "none"
        return split and self._passage.passage.number != sentence.passage

    def _may_grow(self) -> bool:
        """Return whether the current sentence may get more audio after the end of its passage.

        An encoder or a resampler may have kept some, which comes with the end of the text.  Raw
        audio that is not the end is complete: the pause after it was added.
        """
        assert self.session is not None
        if self.config.granularity == "none":
            return True
        is_raw = self.config.request.response_format == "pcm"
        return not is_raw or (self.finished and not self.session.waiting)

    def _begin_sentence(self, started: PassageStarted, made: AudioMade) -> _Sentence:
        passage = started.passage
        text = self._text if self.config.granularity == "none" else passage.text
        sentence = _Sentence(self.sentences, passage.number, made.start_ms, made.start_ms)
        self._sentence = sentence
        self.sentences += 1
        output = self.config.output
        self.send(
            "audio.start",
            sentence_index=sentence.index,
            sentence_text=text.strip(),
            format=output.format.name,
            sample_rate=output.rate,
            channels=1,
        )
        return sentence

    def _end_sentence(self, *, failed: bool = False) -> None:
        sentence, self._sentence = self._sentence, None
        if sentence is None:
            return
        if sentence.samples:
            whole = self._encoded(bytes(sentence.samples))
            self._send_audio(sentence, whole, sentence.start_ms)
        self.send(
            "audio.done",
            sentence_index=sentence.index,
            total_bytes=sentence.size,
            error=failed,
        )

    def _send_audio(self, sentence: _Sentence, data: bytes, start_ms: int) -> None:
        if not data:
            return
        sentence.size += len(data)
        if not self.config.words:
            self._channel.send(data)
            return
        self.send(
            "audio.chunk",
            sentence_index=sentence.index,
            chunk_id=sentence.chunks,
            chunk_start_ms=start_ms - sentence.start_ms,
            chunk_end_ms=sentence.end_ms - sentence.start_ms,
            sample_rate=self.config.output.rate,
            channels=1,
            audio_b64=base64.b64encode(data).decode("ascii"),
            timestamps=None,
        )
        sentence.chunks += 1

    def _encoded(self, raw: bytes) -> bytes:
        """Return the file of a sentence."""
        output = self.config.output
        if output.format.name == "pcm":
            return raw
        with closing(OutputChain(output.rate, replace(output, tempo=1.0), self._gate)) as chain:
            chain.open()
            return b"".join(map(chain.feed, _seconds(raw, output.rate))) + chain.finish()


def _seconds(raw: bytes, rate: int) -> Iterator[Samples]:
    """Yield the samples of raw audio, a second at a time: none holds a place at the gate long."""
    samples = np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(FULL_SCALE)
    for start in range(0, len(samples), rate):
        yield samples[start : start + rate]
