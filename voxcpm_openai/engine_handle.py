"""The handle of an engine that may be unloaded: it looks like one, and loads it for speech."""

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
)


class EngineHandle(Engine):
    """Stands for one engine after the other; its capabilities are those of the last one.

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
        """Take what is known of an engine that has just been loaded."""
        self.name, self.version = engine.name, engine.version
        self.capabilities = engine.capabilities

    def synthesize(self, utterance: Utterance) -> AudioStream:
        """Start a stream, of an engine that is loaded for it if need be.  Raises Unavailable."""
        engine = self._acquire()
        try:
            stream = engine.synthesize(utterance)
        except BaseException:
            self._release()
            raise
        if stream_problems(stream, continues=engine.capabilities.continues):
            self._release()
            return stream  # who has asked for it says what is wrong
        return HeldStream(stream, self._release)

    def status(self) -> EngineStatus:
        """Return the status of the engine.  Raises Unavailable while there is none."""
        return self._status()


class HeldStream:
    """A stream of an engine that is kept loaded for it."""

    def __init__(self, stream: AudioStream, release: Callable[[], None]) -> None:
        """``release``: called once, by ``close``, or when nobody has the stream any more."""
        self._stream = stream
        self._release = weakref.finalize(self, release)
        self._release.atexit = False

    @property
    def usage(self) -> Usage:
        """The tokens used so far."""
        return self._stream.usage

    @property
    def continuation(self) -> object:
        """What a later stream goes on from, of an engine that continues."""
        return cast("ContinuingStream", self._stream).continuation

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        return next(self._stream)

    def close(self) -> None:
        """Cancel the work; the engine may be unloaded from then on."""
        try:
            self._stream.close()
        finally:
            self._release()
