"""A synthesis: the bytes of one response, produced by the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Self

from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine, Utterance
from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.limits import Holder
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import OutputSpec

Frames = Callable[[Speech], Iterator[bytes]]
"""Turns a speech into the bytes of a body."""


class Synthesis:
    """A ``Producer``.  Holds a permit and a loaded engine from ``open`` to ``close``."""

    hit = False

    def __init__(
        self,
        context: AppContext,
        engine: Engine,
        utterance: Utterance,
        output: OutputSpec,
        frames: Frames,
        holder: Holder,
        charge: Callable[[], None],
    ) -> None:
        """``holder``: takes the permit; ``charge``: called once the engine is loaded."""
        self._context = context
        self._engine = engine
        self._request = utterance, output
        self._frames = frames
        self._holder = holder
        self._charge = charge
        self._speech: Speech | None = None
        self._bytes: Iterator[bytes] = iter(())
        self._cancelled = False
        self._cleanup = ExitStack()

    @property
    def seconds(self) -> float:
        """The audio so far, in seconds."""
        return self._speech.seconds if self._speech else 0.0

    @property
    def progress(self) -> float:
        """The part of the text that was synthesized, from 0 to 1."""
        return self._speech.progress if self._speech else 0.0

    @property
    def complete(self) -> bool:
        """Whether all of it was produced, without an error."""
        return self._speech is not None and self._speech.complete

    def open(self) -> None:
        """Take a permit, wait for the engine if it is unloaded, charge and begin.

        Raises RequestError; ClientLeft after ``cancel``.
        """
        ctx = self._context
        self._cleanup.enter_context(ctx.limits.enter(self._holder))
        self._cleanup.enter_context(ctx.engine.awake(lambda: self._cancelled))
        self._charge()
        self._speech = speech = Speech(self._engine, *self._request, ctx.limits.gate)
        self._cleanup.callback(speech.close)
        self._bytes = self._frames(speech)
        if self._cancelled:
            raise ClientLeft

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Return the next bytes; the first call opens it."""
        if self._speech is None:
            self.open()
        return next(self._bytes)

    def cancel(self) -> None:
        """End the work from any thread; a waiting ``open`` or ``next`` raises ClientLeft."""
        self._cancelled = True
        if self._speech is not None:
            self._speech.cancel()
        else:
            self._context.engine.notify_waiting()

    def close(self) -> None:
        """End the work, and release the permit and the engine."""
        self._cleanup.close()
