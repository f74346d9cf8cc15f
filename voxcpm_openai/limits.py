"""The limits on concurrent speech streams, and on WebSockets, of a worker."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from voxcpm_openai import cores
from voxcpm_openai.errors import ClientLeft, Overloaded, RateLimited
from voxcpm_openai.gate import DeadlineGate

SOCKET_RETRY = 5
"""Seconds after which a client may try again when there are too many WebSockets."""
SMOOTHING = 0.2
"""The weight of the newest stream in the mean duration."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of permits that are counted together, and its limit (0: unlimited)."""

    id: str = ""
    limit: int = 0


UNLIMITED = Holder()


class StreamLimiter:
    """Limits concurrent streams, in total and by holder.

    ``enter`` never waits: it raises Overloaded at capacity, and RateLimited at the holder's limit.

    ``reenter`` is for a listener who has heard a part already: it waits, and new streams are
    refused meanwhile.

    ``gate`` bounds how many streams process and encode audio at once: one more than there are
    cores, so that a thread that wakes up leaves no core idle.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.gate = DeadlineGate(cores.available() + 1)
        self.on_enter: Callable[[], None] = lambda: None
        """Called when a stream begins, in its thread; must not wait."""
        self.on_leave: Callable[[], None] = lambda: None
        """Called in the thread that gives a permit back, when it is free."""
        self._running = 0
        self._held: Counter[str] = Counter()  # by the holder's id: its limit may change
        self._waiting: Counter[Holder] = Counter()
        self._mean_seconds = 1.0
        self._changed = threading.Condition()

    @property
    def running(self) -> int:
        """The number of running streams."""
        return self._running

    def held(self, holder: Holder) -> int:
        """Return the number of a holder's running streams."""
        return self._held[holder.id]

    @property
    def waiting(self) -> int:
        """The number of sessions that wait to go on."""
        return self._waiting.total()

    def enter(self, holder: Holder = UNLIMITED) -> StreamPermit:
        """Return a permit.

        Raises Overloaded or RateLimited, with the seconds until one is likely to be free.
        """
        with self._changed:
            if not self._may_hold(holder):
                raise self._holder_refusal(holder)
            if self._running + self._reserved() < self.limit:
                return self._permit(holder)
            raise self._refusal()

    def reenter(
        self, seconds: float, left: Callable[[], bool], holder: Holder = UNLIMITED
    ) -> StreamPermit:
        """Wait up to ``seconds`` for a permit.

        Raises Overloaded, RateLimited; ClientLeft if ``left()``.  Call ``wake`` when ``left``
        changes.
        """
        with self._changed:
            self._waiting[holder] += 1
            try:
                self._changed.wait_for(lambda: left() or self._has_room(holder), seconds)
            finally:
                self._waiting -= Counter({holder: 1})
            if left():
                raise ClientLeft
            if not self._may_hold(holder):
                raise self._holder_refusal(holder)
            if self._running >= self.limit:
                raise self._refusal()
            return self._permit(holder)

    def wake(self) -> None:
        """Let those who wait look again at whether their listener has left."""
        with self._changed:
            self._changed.notify_all()

    def _may_hold(self, holder: Holder) -> bool:
        return not holder.limit or self._held[holder.id] < holder.limit

    def _has_room(self, holder: Holder) -> bool:
        return self._running < self.limit and self._may_hold(holder)

    def _reserved(self) -> int:
        """Return the number of waiting sessions that need only room on the server.

        Sessions that wait for a stream of their own holder reserve no place.
        """
        return sum(
            min(count, max(0, holder.limit - self._held[holder.id])) if holder.limit else count
            for holder, count in self._waiting.items()
        )

    def _permit(self, holder: Holder) -> StreamPermit:
        self._running += 1
        self._held[holder.id] += 1
        self.on_enter()
        return StreamPermit(self, holder)

    def _refusal(self) -> Overloaded:
        # With `limit` streams of a mean length, one ends every mean/limit seconds.
        return Overloaded(
            f"This server runs {self.limit} speech requests at once and is at capacity.",
            retry_after=math.ceil(self._mean_seconds / self.limit),
        )

    def _holder_refusal(self, holder: Holder) -> RateLimited:
        return RateLimited(
            f"This key is limited to {holder.limit} concurrent speech requests and has reached it.",
            retry_after=max(1, math.ceil(self._mean_seconds / holder.limit)),
        )

    def leave(self, seconds: float, holder: Holder) -> None:
        """Give a holder's permit back after ``seconds``.  ``StreamPermit`` calls this."""
        with self._changed:
            self._running -= 1
            self._held -= Counter({holder.id: 1})  # drops the entry at 0
            self._mean_seconds += SMOOTHING * (seconds - self._mean_seconds)
            self._changed.notify_all()
        self.on_leave()


class SocketLimiter:
    """Counts open WebSockets."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0
        self._lock = threading.Lock()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count one in the ``with`` block.  Raises Overloaded if there are too many."""
        with self._lock:
            if self.open >= self.limit:
                raise Overloaded(
                    f"This server has {self.limit} WebSockets open, which is its limit.",
                    retry_after=SOCKET_RETRY,
                )
            self.open += 1
        try:
            yield
        finally:
            with self._lock:
                self.open -= 1


class StreamPermit(AbstractContextManager["StreamPermit"]):
    """The permission to run one stream, given back at the end of the ``with`` block."""

    def __init__(self, limiter: StreamLimiter, holder: Holder) -> None:
        self._limiter = limiter
        self._holder = holder
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._limiter.leave(time.monotonic() - self._since, self._holder)
