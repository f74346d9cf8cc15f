"""A speech that several equal requests share while it is made.

None of them is the first: whoever needs the next bytes makes them, if nobody does, and the others
wait.  So it goes on when one of them leaves, and ends when all have left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from voxcpm_openai.cache.source import Maker
from voxcpm_openai.errors import ClientLeft


class SharedSpeech:
    """The bytes of a speech so far, and who listens."""

    def __init__(
        self,
        lock: threading.RLock,
        largest: int,
        keep: Callable[[SharedSpeech], None],
        end: Callable[[SharedSpeech], None],
    ) -> None:
        """``lock``: of all speech that is shared; ``largest``: bytes for listeners to come.

        ``keep``: called when all was made without an error; ``end``: called once when it takes no
        more listeners, with the lock.
        """
        self.parts: list[bytes] = []
        self.maker: Maker | None = None
        self.listeners: set[Listener] = set()
        self._size = 0
        self._largest = largest
        self._keep = keep
        self._end = end
        self._failure: BaseException | None = None
        self._open = True  # others may join: all parts are kept
        self._making = self._done = False
        self._forgotten = 0  # how many first parts nobody needs any more
        self._changed = threading.Condition(lock)

    def join(self, maker: Maker) -> Listener:
        """Return a new listener, who listens from the beginning.  The lock is held.

        ``maker``: makes the speech if nobody else has begun to.
        """
        listener = Listener(self, maker)
        self.listeners.add(listener)
        return listener

    def next_for(self, listener: Listener) -> bytes:
        """Return the next bytes for a listener: wait for them, or make them in this thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._making or self._has_news(listener))
                if listener.left:
                    raise ClientLeft
                if listener.at < len(self.parts):
                    part = self.parts[listener.at]
                    listener.at += 1
                    self._forget()
                    return part
                if self._failure is not None:
                    raise self._failure
                if self._done:
                    raise StopIteration
                self._making = True
            try:
                self._make(listener.maker)
            finally:
                with self._changed:
                    self._making = False
                    self._changed.notify_all()

    def leave(self, listener: Listener) -> None:
        """Let a listener go; the last one ends the work.  Any thread may call this, also twice."""
        with self._changed:
            listener.left = True
            self.listeners.discard(listener)
            maker = None if self.listeners or self._done else self.maker
            if not self.listeners:
                self._stop_joining()
            self._forget()
            self._changed.notify_all()
        if maker is not None:
            maker.cancel()

    def free(self) -> None:
        """Free the maker if nobody listens any more, and nobody makes, who would free it."""
        with self._changed:
            maker = None if self.listeners or self._making else self.maker
        if maker is not None:
            maker.close()

    def _has_news(self, listener: Listener) -> bool:
        return listener.left or self._done or listener.at < len(self.parts)

    def _make(self, own: Maker) -> None:
        """Make the next part.  Raises the error of ``own`` if it could not begin."""
        if self.maker is None:
            self.maker = own
            try:
                own.open()
            except BaseException:
                self.maker = None
                own.close()
                raise
        try:
            part = next(self.maker)
        except StopIteration:
            self._finish(self.maker, None)
        except BaseException as error:  # noqa: BLE001  (all listeners raise it)
            self._finish(self.maker, error)
        else:
            with self._changed:
                self.parts.append(part)
                self._size += len(part)
                if self._size > self._largest:
                    self._stop_joining()

    def _finish(self, maker: Maker, failure: BaseException | None) -> None:
        """Free the maker, let the speech be kept, and tell all."""
        maker.close()
        if failure is None and maker.whole and self._open:
            self._keep(self)  # before it ends: an equal request finds one or the other
        with self._changed:
            self._failure, self._done = failure, True
            self._stop_joining()

    def _stop_joining(self) -> None:
        """Take no more listeners.  The lock is held."""
        if self._open:
            self._open = False
            self._end(self)

    def _forget(self) -> None:
        """Forget what all have, once nobody can join.  The lock is held."""
        if not self._open:
            needed = min((one.at for one in self.listeners), default=len(self.parts))
            for index in range(self._forgotten, needed):
                self.parts[index] = b""
            self._forgotten = max(self._forgotten, needed)


class Listener:
    """A ``Source``: one request that listens to a shared speech."""

    def __init__(self, shared: SharedSpeech, maker: Maker) -> None:
        self.maker = maker
        self.at = 0
        """The number of the next part."""
        self.left = False
        self._shared = shared

    @property
    def is_made_for_it(self) -> bool:
        """Whether its own maker makes the speech."""
        return self._shared.maker is self.maker

    @property
    def seconds(self) -> float:
        """The audio that was made so far, in seconds."""
        return self._shared.maker.seconds if self._shared.maker else 0.0

    @property
    def progress(self) -> float:
        """The part of the text that was said so far, from 0 to 1."""
        return self._shared.maker.progress if self._shared.maker else 0.0

    @property
    def whole(self) -> bool:
        """Whether all was made, without an error."""
        return self._shared.maker is not None and self._shared.maker.whole

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Return the next bytes.  Raises ClientLeft after ``cancel``."""
        return self._shared.next_for(self)

    def cancel(self) -> None:
        """Leave; wakes a waiting ``next``."""
        self._shared.leave(self)

    def close(self) -> None:
        """Leave, and free what nobody needs."""
        self._shared.leave(self)
        self._shared.free()
