"""The stream of an engine, checked: an unexpected error or a wrong chunk is a SynthesisFailed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Self, TypeVar, cast

from voxcpm_openai.contract_checks import chunk_problems, stream_problems, usage_problems
from voxcpm_openai.contracts import Chunk, ContinuingStream, Engine, Usage, Utterance
from voxcpm_openai.errors import RequestError, SynthesisFailed

logger = logging.getLogger(__name__)

T = TypeVar("T")
Errors = tuple[type[Exception], ...]
REFUSALS: Errors = (RequestError,)


class CheckedStream:
    """Implements ``AudioStream`` with the stream of an engine that may break its contract."""

    def __init__(self, engine: Engine, utterance: Utterance) -> None:
        """Start the engine's stream.  Raises RequestError for what the engine refuses."""
        self._name = engine.name or type(engine).__name__
        self._continues = engine.capabilities.continues
        self._stream = self._checked(
            lambda: engine.synthesize(utterance),
            lambda stream: stream_problems(stream, continues=self._continues),
        )

    @property
    def usage(self) -> Usage:
        """The tokens that the engine used."""
        return self._checked(lambda: self._stream.usage, usage_problems)

    @property
    def continuation(self) -> object:
        """What a later stream may go on from; None for an engine without ``continues``.

        Valid once the stream has ended without an error.
        """
        if not self._continues:
            return None
        stream = cast("ContinuingStream", self._stream)
        return self._checked(lambda: stream.continuation, lambda _anything: [])

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        return self._checked(lambda: next(self._stream), chunk_problems, (*REFUSALS, StopIteration))

    def close(self) -> None:
        """Cancel the work from any thread; an error of the engine is only logged."""
        try:
            self._stream.close()
        except (Exception, SystemExit):  # a plugin may fail in any way
            logger.exception("the engine %s failed to close a stream", self._name)

    def _checked(
        self, call: Callable[[], T], problems: Callable[[T], list[str]], passed: Errors = REFUSALS
    ) -> T:
        """Return the result of a call.  Raises SynthesisFailed unless it is right."""
        try:
            result = call()
            if found := problems(result):
                raise TypeError("; ".join(found))  # noqa: TRY301
        except passed:
            raise
        except (Exception, SystemExit) as error:  # a plugin may fail in any way
            logger.exception("the engine %s failed", self._name)
            raise SynthesisFailed(
                f"The engine {self._name} failed at this text ({type(error).__name__}); the "
                "server's log has the traceback."
            ) from error
        return result
