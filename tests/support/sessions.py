"""Sessions in tests: texts that come piece by piece, engines, and what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine, Segment
from voxcpm_openai.session import AudioMade, SessionEvent, SpeechSession
from voxcpm_openai.session.cutter import Cutter, Passage
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import SpeechRequest

TIMEOUT = 20
"""Seconds after which a thread that hangs fails its test."""


def cut(pieces: Iterable[str]) -> list[Passage]:
    """Return the passages of a text that comes in pieces and ends."""
    cutter = Cutter()
    passages = [passage for piece in pieces for passage in cutter.append(piece)]
    return passages + cutter.flush(last=True)


def texts(pieces: Iterable[str]) -> list[str]:
    return [passage.text for passage in cut(pieces)]


def sizes(text: str, numbers: Iterable[int]) -> Iterator[str]:
    """Yield a text in pieces of these sizes, and the rest."""
    start = 0
    for number in numbers:
        yield text[start : start + number]
        start += number
    yield text[start:]


class Sessions:
    """Makes sessions of one engine."""

    def __init__(self, engine: Engine, settings: Settings, name: str) -> None:
        """``name``: by which voices have options for the engine."""
        self.engine = engine
        self.context = AppContext.open(settings)
        self.resolver = self.context.resolver_for(name)
        self.limits = self.context.limits

    def open(self, **fields: Any) -> SpeechSession:
        wanted = {"model": "tts-1", "response_format": "pcm", "voice": "alloy", **fields}
        request = SpeechRequest(input="", **wanted)
        return SpeechSession(self.engine, self.resolver, self.limits, request)

    def said(self, pieces: Iterable[str], **fields: Any) -> list[SessionEvent]:
        """Return the events of a text that was there before anybody listened."""
        with self.open(**fields) as session:
            for piece in pieces:
                session.append(piece)
            session.finish()
            return list(session)

    @contextmanager
    def assert_freed(self) -> Iterator[None]:
        """Check that no permit, place or stream is left."""
        yield
        assert self.limits.running == 0
        assert self.limits.gate.counts() == (0, 0, 0)
        assert self.engine.status().streams == 0


def audio(events: Iterable[SessionEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, AudioMade))


def segments_of(utterances: Iterable[Any]) -> list[Segment]:
    return [segment for utterance in utterances for segment in utterance.segments]
