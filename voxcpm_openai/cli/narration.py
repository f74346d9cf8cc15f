"""Narration: a text of any length, synthesized part by part as 16-bit samples."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate

from voxcpm_openai import __version__
from voxcpm_openai.cache.key import ClipHashes, speech_key
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.formats import AudioFormat
from voxcpm_openai.gate import DeadlineGate
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.session.cutter import Cutter, Passage
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.text.cuts import weigh
from voxcpm_openai.text.sentences import PARAGRAPH, SENTENCE

PART = 1000
"""The weight of a part: about a minute of audio.  What an interruption loses is at most one."""
LONGEST = 3 * PART
"""The weight at which a part ends although no sentence does."""
PIECE = 4096
"""Characters that the cutter is given at a time: its time grows with what it holds."""
SEED_BITS = 31

OnProgress = Callable[[float, float], object]
"""Is told the share of the text that is done, from 0 to 1, and the seconds of audio made."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text that is synthesized at once.  ``pause``: after it, in seconds."""

    text: str
    pause: float


def parts_of(text: str) -> tuple[Part, ...]:
    """Cut a text at the ends of sentences, where possible at those of paragraphs; at least one.

    The first part is one sentence: its audio comes soon, and is synthesized again when an engine
    that continues goes on with a text.
    """
    parts: list[Part] = []
    held: list[Passage] = []
    size = 0
    for passage in _passages(text):
        held.append(passage)
        size += 0 if passage.silent else sum(map(weigh, passage.text))
        wanted = PART if parts else 1
        if passage.pause >= PARAGRAPH:
            wanted //= 2
        if (size >= wanted and passage.pause >= SENTENCE) or size >= LONGEST:
            parts += _joined(held)
            held, size = [], 0
    parts += _joined(held)
    return tuple(parts) or (Part(text, 0.0),)


def _passages(text: str) -> Iterator[Passage]:
    cutter = Cutter()
    for start in range(0, len(text), PIECE):
        yield from cutter.append(text[start : start + PIECE])
    yield from cutter.flush(last=True)


def _joined(passages: Sequence[Passage]) -> list[Part]:
    """Return passages as a part, or none if they are only space and blocks that are not read."""
    text = "".join(passage.text for passage in passages if not passage.silent)
    return [] if not text or text.isspace() else [Part(text, passages[-1].pause)]


class Narration:
    """What is synthesized for one request, whose text may be as long as a book.

    Each part is a stream of the engine with the same voice, options and seed; one that continues
    goes on from the first part that can be spoken.  So a part depends on its own text and that one
    only, and may be made without those before it.  ``format`` and ``rate``, in Hz, are those of the
    output.  ``skipped`` counts the parts that cannot be spoken, ``refusal`` says why the last
    of them cannot.
    """

    def __init__(self, ctx: AppContext, engine: Engine, request: SpeechRequest) -> None:
        """Raises RequestError for everything but the text."""
        can = engine.capabilities
        self._ctx, self._engine, self._request = ctx, engine, request
        self._utterance, output = ctx.resolver.resolve_session(request, engine, OPERATOR)
        self.format: AudioFormat = output.format
        self.rate = output.rate
        self._output = replace(output, format=ctx.registry.formats["pcm"])
        self._planner = ctx.resolver.planner(request, self._utterance.voice, can, OPERATOR)
        self._gate = DeadlineGate(1)
        self._continuation: object = None
        self._begun = False  # whether a part was spoken, which others go on from
        self.parts = parts_of(request.input)
        self._ends = [0, *accumulate(len(part.text) for part in self.parts)]
        self.skipped = 0
        self.refusal: InvalidRequest | None = None
        self._made = 0.0  # seconds
        self.seed = self._utterance.seed
        if self.seed is None and "seed" in can.params:
            self.seed = secrets.randbits(SEED_BITS)

    def facts(self) -> dict[str, str]:
        """Return everything that the audio depends on, by the name under which users know it.

        ``settings`` is a hash of all together.  Raises InvalidRequest if the voice's clip cannot be
        read.
        """
        asked, voice = self._request, self._utterance.voice
        text = hashlib.sha256(asked.input.encode("utf-8", "surrogatepass")).hexdigest()
        rules = self._planner.lexicons.lexicon(voice, asked.lexicon, OPERATOR).rules
        planned = [text, PART, asked.language, self._ctx.settings.normalize, list(map(repr, rules))]
        try:
            clip = "" if voice.audio is None else ClipHashes().get(voice.audio)
        except OSError as error:
            raise InvalidRequest(
                f"The voice's clip cannot be read: {error}", param="voice"
            ) from error
        spec = self._ctx.registry.engine(self._ctx.engine.name)
        own = self._ctx.settings.of(spec.settings) if spec and spec.settings else None
        return {
            "text": text,
            "voice": voice.id,
            "model": asked.model,
            "format": f"{self.format.name} at {self.rate} Hz",
            "speed": str(asked.speed),
            "seed": str(asked.seed),
            "engine": f"{self._engine.name} {self._engine.version}".strip(),
            "version": __version__,
            "settings": speech_key(
                (self._engine.name, self._engine.version),
                own,
                self._utterance,
                self._output,
                json.dumps(planned),
                clip,
            ),
        }

    def samples(self, index: int, progress: OnProgress) -> Generator[bytes]:
        """Yield the samples of a part: 16 bits, little-endian, at ``rate``; none if skipped.

        Raises RequestError; that of the text only if it has a single part.
        """
        if self._engine.capabilities.continues:
            self._begin(index)
        before = self._made
        try:
            for chunk, share, seconds in self._speak(index):
                self._made = before + seconds
                progress(self._share(index, share), self._made)
                yield chunk
        except InvalidRequest as refusal:
            if refusal.param != "input" or len(self.parts) == 1:
                raise
            self.skipped += 1
            self.refusal = refusal
        progress(self._share(index, 1.0), self._made)

    def _begin(self, index: int) -> None:
        """Synthesize the part that others go on from, if that was done by an earlier process."""
        for first in range(index):
            if self._begun:
                return
            try:
                for _ in self._speak(first):
                    pass
            except InvalidRequest as refusal:
                if refusal.param != "input":
                    raise

    def _speak(self, index: int) -> Generator[tuple[bytes, float, float]]:
        """Yield samples, the share of the part's text that is done, and its seconds so far."""
        part = self.parts[index]
        said = self._planner.plan(part.text, continued=index > 0)
        rates = tuple(segment.rate for segment in said.written)
        utterance = replace(
            self._utterance,
            segments=said.segments,
            seed=self.seed,
            tempo=self._utterance.tempo * said.fastest,
            languages=said.languages,
            continuation=self._continuation,
        )
        last = index == len(self.parts) - 1
        own_pause = bool(said.written[-1].pause)
        pause = 0.0 if own_pause else part.pause / (self._output.tempo * rates[-1])
        output = replace(
            self._output,
            rates=rates if set(rates) != {1.0} else (),
            lead=said.lead + (0.0 if index else self._output.lead),
            tail=self._output.tail if last else pause,
            written=tuple(segment.text for segment in said.written),
        )
        with closing(Speech(self._engine, utterance, output, self._gate)) as speech:
            for chunk in speech:
                yield chunk, speech.progress, speech.seconds
            if not self._begun:
                self._begun, self._continuation = True, speech.continuation

    def _share(self, index: int, part: float) -> float:
        """Return the share of the text that is done when so much of a part is."""
        start, end = self._ends[index : index + 2]
        return (start + part * (end - start)) / max(1, self._ends[-1])
