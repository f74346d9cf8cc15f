"""The voices that the engine's thread encodes between its steps, part by part.

A thread of its own would compete with the threads of the steps for the cores.  So parts are run
between steps, when no listener would hear it; for a request that waits they also take a share of
the time of the others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from voxcpm_openai.runtime.engine.runner_protocol import VoiceWork
from voxcpm_openai.runtime.errors import DeviceError

logger = logging.getLogger(__name__)

SHARE = 0.25
"""Of the engine's time, for a voice that a request waits for while listeners have no time."""


@dataclass(slots=True)
class _Entry:
    """``wanted``: a request waits for it."""

    wanted: bool = False
    done: Future[None] = field(default_factory=Future)


class VoiceQueue:
    """Work on voices in the order of its arrival; what a request waits for comes first."""

    def __init__(
        self,
        changed: threading.Condition,
        clock: Callable[[], float],
        check: Callable[[], None],
    ) -> None:
        """``changed``: the engine's lock; ``check`` raises if no work is accepted any more."""
        self._changed = changed
        self._clock = clock
        self._check = check
        self._entries: dict[VoiceWork, _Entry] = {}
        self._part_seconds = 0.0  # of the last part
        self._resume_at = 0.0  # when the share is used up no more

    @property
    def pending(self) -> bool:
        """Whether there is work.  The lock is held."""
        return bool(self._entries)

    def complete(self, work: VoiceWork | None, *, wanted: bool) -> None:
        """Wait in a request's thread until work is done; there may be none.

        Raises what ``check`` and the work raise, and the error of ``fail``.
        """
        if work is None:
            return
        with self._changed:
            self._check()
            entry = self._entries.setdefault(work, _Entry())
            entry.wanted |= wanted
            self._changed.notify_all()
        entry.done.result()

    def fail(self, error: Exception) -> None:
        """End all work with an error.  The lock is held."""
        for entry in self._entries.values():
            entry.done.set_exception(error)
        self._entries.clear()

    def run_parts(self, spare: Callable[[float], float]) -> None:
        """Run parts in the engine's thread while there is time for them.

        ``spare`` returns, for a moment and with the lock held, the seconds that all listeners can
        do without the engine.
        """
        while True:
            with self._changed:
                begun = self._clock()
                chosen = self._next(begun, spare(begun))
            if chosen is None:
                return
            work, entry = chosen
            error: Exception | None = None
            try:
                ended = work.run_part()
            except DeviceError:
                raise
            except Exception as raised:  # raised again by `complete`, for this voice alone
                logger.exception("a voice could not be encoded")
                ended, error = True, raised
            now = self._clock()
            self._part_seconds = now - begun
            self._resume_at = now + self._part_seconds * (1 / SHARE - 1)
            if ended:
                self._end(work, entry, error)

    def _next(self, now: float, spare: float) -> tuple[VoiceWork, _Entry] | None:
        """Return what to run a part of.  The lock is held."""
        wanted = [item for item in self._entries.items() if item[1].wanted]
        if spare >= self._part_seconds or (wanted and now >= self._resume_at):
            return next(iter(wanted or self._entries.items()), None)
        return None

    def _end(self, work: VoiceWork, entry: _Entry, error: Exception | None) -> None:
        with self._changed:
            if self._entries.pop(work, None) is None:
                return  # it has failed with the engine
        if error is None:
            entry.done.set_result(None)
        else:
            entry.done.set_exception(error)
