"""An ``AudioStream`` from a generator, for engines that have no threads of their own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Self

from voxcpm_openai.contracts import Chunk, Usage

logger = logging.getLogger(__name__)

AHEAD = 2
"""The number of chunks that are made before they are asked for."""


class GeneratorStream:
    """Runs a generator of chunks in a thread, which starts at the first ``next()``.

    ``close()`` wakes a waiting ``next()`` at once, whatever the generator does.  The generator
    ends (GeneratorExit) at its next ``yield``, and its thread with it.  What the generator raises
    is raised by ``next()``, after the chunks before it.  A stream must be read to its end or
    closed; until then its thread waits.
    """

    def __init__(self, chunks: Iterable[Chunk], usage: Callable[[], Usage] | None = None) -> None:
        """``usage`` counts the engine's own tokens; by default an output token is a chunk."""
        self._chunks = iter(chunks)
        self._usage = usage
        self._delivered = 0
        self._ready: deque[Chunk] = deque()
        self._error: Exception | None = None
        self._ended = self._closed = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # reentrant: the generator may close its own stream

    @property
    def usage(self) -> Usage:
        """The tokens used so far."""
        return self._usage() if self._usage else Usage(1, max(1, self._delivered))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        """Wait for the next chunk.

        Raises what the generator raised, again at every further call, and StopIteration at the
        end and after ``close``.
        """
        with self._changed:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="generator-stream", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.wait_for(lambda: self._ready or self._ended or self._closed)
            if self._closed:
                raise StopIteration
            if self._ready:
                self._changed.notify_all()
                self._delivered += 1
                return self._ready.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def close(self) -> None:
        """Cancel from any thread; may be called twice."""
        with self._changed:
            started, self._closed = self._thread is not None or self._closed, True
            self._ready.clear()
            self._changed.notify_all()
        if not started:  # otherwise the thread does it
            self._close_generator()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            for chunk in self._chunks:
                if not self._offer(chunk):
                    break
        except BaseException as raised:  # noqa: BLE001  (raised again by `next`)
            ends = RuntimeError(f"the generator raised {raised!r}")  # SystemExit ends this alone
            error = raised if isinstance(raised, Exception) else ends
        self._close_generator()
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()

    def _offer(self, chunk: Chunk) -> bool:
        """Hand over a chunk and wait until the next one may be made; return False once closed."""
        with self._changed:
            if not self._closed:
                self._ready.append(chunk)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or len(self._ready) < AHEAD)
            return not self._closed

    def _close_generator(self) -> None:
        """Close the generator; an error is only logged, since no listener is left."""
        close = getattr(self._chunks, "close", None)
        try:
            if close is not None:
                close()
        except (Exception, SystemExit):  # a plugin may fail in any way
            logger.exception("a generator failed while it was closed")
