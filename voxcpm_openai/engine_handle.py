"""A proxy for an engine that may be unloaded: starting a stream loads it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Self, cast

from voxcpm_openai.contract_checks import stream_problems
from voxcpm_openai.contracts import (
    AudioStream,
    Chunk,
    ContinuingStream,
    Engine,
    EngineStatus,
    Usage,
    Utterance,
    Voice,
)


class EngineHandle(Engine):
    """Proxies the engine that is loaded; its capabilities are those of the last one.

    A stream keeps the engine loaded until it is closed.
    """

    def __init__(
        self,
        engine: Engine,
        acquire: Callable[[], Engine],
        release: Callable[[], None],
        status: Callable[[], EngineStatus],
    ) -> None:
        """``acquire``: returns an engine that stays loaded until ``release``, or raises."""
        self._acquire = acquire
        self._release = release
        self._status = status
        self.renew(engine)

    def renew(self, engine: Engine) -> None:
        """Copy the name, version and capabilities of an engine that was just loaded."""
        self.name, self.version = engine.name, engine.version
        self.capabilities = engine.capabilities

    def synthesize(self, utterance: Utterance) -> AudioStream:
        """Load the engine if needed, and start a stream.  Raises Unavailable."""
        engine = self._acquire()
        try:
            stream = engine.synthesize(utterance)
        except BaseException:
            self._release()
            raise
        if stream_problems(stream, continues=engine.capabilities.continues):
            self._release()
            return stream  # ``CheckedStream`` reports the problems
        return HeldStream(stream, self._release)

    def prepare_voice(self, voice: Voice) -> None:
        """Load the engine if needed, and prepare a voice.  Raises Unavailable."""
        engine = self._acquire()
        try:
            engine.prepare_voice(voice)
        finally:
            self._release()

    def status(self) -> EngineStatus:
        """Return the status of the engine.  Raises Unavailable while it is not loaded."""
        return self._status()


class HeldStream:
    """A stream that keeps its engine loaded."""

    def __init__(self, stream: AudioStream, release: Callable[[], None]) -> None:
        """``release``: called once, by ``close`` or when the stream is garbage-collected."""
        self._stream = stream
        self._release = weakref.finalize(self, release)
        self._release.atexit = False

    @property
    def usage(self) -> Usage:
        """The tokens used so far."""
        return self._stream.usage

    @property
    def continuation(self) -> object:
        """The state from which a later stream continues, of an engine with ``continues``."""
        return cast("ContinuingStream", self._stream).continuation

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        return next(self._stream)

    def close(self) -> None:
        """Cancel the stream; the engine may be unloaded afterwards."""
        try:
            self._stream.close()
        finally:
            self._release()
