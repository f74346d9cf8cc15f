"""Rates: how much a key may use in a minute, counted in this process or in Redis.

A sliding window of the package ``limits``: the last whole minute counts in part, the current one
in full.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.storage.base import SlidingWindowCounterSupport
from limits.strategies import SlidingWindowCounterRateLimiter

from voxcpm_openai.errors import RateLimited, SettingsError

logger = logging.getLogger(__name__)

WINDOW = 60
"""Seconds."""
PATIENCE = 0.5
"""Seconds in which Redis must answer."""
MARGIN = 0.01
"""Seconds after which a place is free for certain: counts are rounded."""
AWAY = 5.0
"""Seconds after a failure in which Redis is not asked."""
MEMORY = "memory://"


@dataclass(frozen=True, slots=True)
class Amount:
    """How many of a thing are asked for, and how many a key may have in a minute (0: any)."""

    thing: str
    count: int
    limit: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of a limit.  ``reset``: seconds until all of it is there again."""

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What is left of each limit, by its thing, and why nothing was taken, if so."""

    budgets: Mapping[str, Budget] = field(default_factory=dict)
    refusal: RateLimited | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The counts of a storage: those of the last minute count less and less until it is over."""

    previous: int
    previous_left: float
    current: int
    current_left: float
    """Seconds until the current minute no longer counts at all."""

    def used(self) -> int:
        """Return what counts now."""
        return math.floor(self.previous * self.previous_left / WINDOW) + self.current

    def wait(self, count: int, limit: int) -> float:
        """Return the seconds until ``count`` fits into a limit that is not lower."""
        room = limit - count
        if self.used() <= room:
            return 0.0
        if self.current <= room:  # the last minute must fade
            return self.previous_left - (room + 1 - self.current) * WINDOW / self.previous
        end = max(0.0, self.current_left - WINDOW)
        return end + max(0.0, WINDOW - (room + 1) * WINDOW / self.current)

    def budget(self, limit: int, taken: int = 0) -> Budget:
        """Return what is left of a limit after so much was taken since."""
        reset = self.previous_left if self.previous else 0.0
        if self.current or taken:
            reset = self.current_left or 2 * WINDOW
        return Budget(limit, max(0, limit - self.used() - taken), reset)


def share(limit: int, workers: int) -> int:
    """Return the part of a limit that each worker has if each counts for itself (0: any).

    All parts together are never more than the limit, unless it is below one for each worker.
    """
    return max(1, limit // workers) if limit else 0


class Rates:
    """Counts what keys use.  With Redis all workers and servers count together.

    While Redis does not answer, each worker counts its share for itself: nobody is refused because
    of that, and nobody has more than before.
    """

    def __init__(self, url: str = "", workers: int = 1) -> None:
        """``url``: of Redis, or empty.  Raises SettingsError if its package is missing."""
        self.failures = 0
        """How often Redis did not answer."""
        self._workers = workers
        self._lock = threading.Lock()
        self._memory: SlidingWindowCounterRateLimiter | None = None
        self._redis = _redis(url) if url else None
        self._away_until = 0.0
        self._is_away = False

    @property
    def divides(self) -> bool:
        """Whether each worker has a share of the limits now."""
        return self._workers > 1 and not self._asks_redis()

    def take(self, holder: str, amounts: Sequence[Amount]) -> Taken:
        """Take these amounts, all or none of them."""
        limited = [amount for amount in amounts if amount.limit]
        if not limited:
            return Taken()
        if self._redis is not None and self._asks_redis():
            try:
                found = _taken(self._redis, holder, limited)
            except StorageError as error:
                self._fail(error)
            else:
                self._recover()
                return found
        divided = [replace(one, limit=share(one.limit, self._workers)) for one in limited]
        with self._lock:  # the storage in memory asks and counts in two steps
            try:
                return _taken(self._in_memory(), holder, divided)
            except RuntimeError as error:  # it starts threads, of which the system may have none
                logger.warning("a request is not counted: %s", error)
                return Taken()

    def _in_memory(self) -> SlidingWindowCounterRateLimiter:
        if self._memory is None:  # not before it is needed: it starts a thread
            self._memory = SlidingWindowCounterRateLimiter(storage_from_string(MEMORY))
        return self._memory

    def reaches_redis(self) -> bool:
        """Return whether Redis answers; True if none is set."""
        if self._redis is None:
            return True
        try:
            return bool(self._redis.storage.check())
        except StorageError:
            return False

    def _asks_redis(self) -> bool:
        return self._redis is not None and time.monotonic() >= self._away_until

    def _fail(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY
        self.failures += 1
        if not self._is_away:
            logger.error("Redis does not answer, each worker counts for itself: %s", error)
        self._is_away = True

    def _recover(self) -> None:
        if self._is_away:
            logger.info("Redis answers again; the limits are counted there")
        self._is_away = False


def _redis(url: str) -> SlidingWindowCounterRateLimiter:
    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise SettingsError(
            "VOXCPM_LIMITS_URL needs the package redis: pip install 'voxcpm-openai[redis]'"
        ) from error
    options: dict[str, Any] = {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "retry": Retry(NoBackoff(), 1),  # a connection of the pool may have been closed
        "wrap_exceptions": True,
        "key_prefix": "voxcpm",
    }
    try:
        return SlidingWindowCounterRateLimiter(storage_from_string(url, **options))
    except ValueError as error:
        raise SettingsError(f"VOXCPM_LIMITS_URL cannot be used: {error}") from error


def _taken(
    limiter: SlidingWindowCounterRateLimiter, holder: str, amounts: Sequence[Amount]
) -> Taken:
    """Take all amounts, or none.  Raises StorageError."""
    rows = [(amount, RateLimitItemPerMinute(amount.limit, namespace="rate")) for amount in amounts]
    windows = [_window(limiter, item, holder, amount.thing) for amount, item in rows]
    pairs = list(zip(amounts, windows, strict=True))
    budgets = {amount.thing: window.budget(amount.limit) for amount, window in pairs}
    for amount in amounts:
        if amount.count > amount.limit:
            return Taken(budgets, _refusal(amount, None))
    amount, window = max(pairs, key=lambda pair: pair[1].wait(pair[0].count, pair[0].limit))
    if (seconds := window.wait(amount.count, amount.limit)) > 0:
        return Taken(budgets, _refusal(amount, seconds))
    for amount, item in rows:
        if amount.count and not limiter.hit(item, amount.thing, holder, cost=amount.count):
            window = _window(limiter, item, holder, amount.thing)  # another worker was faster
            return Taken(budgets, _refusal(amount, window.wait(amount.count, amount.limit)))
    return Taken({one.thing: window.budget(one.limit, one.count) for one, window in pairs})


def _window(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, holder: str, thing: str
) -> Window:
    storage = cast(SlidingWindowCounterSupport, limiter.storage)
    return Window(*storage.get_sliding_window(item.key_for(thing, holder), WINDOW))


def _refusal(amount: Amount, seconds: float | None) -> RateLimited:
    """Return an error; ``seconds``: until the amount would fit, None if it never does."""
    limit = f"Rate limit reached: this key may have {amount.limit} {amount.thing} a minute here."
    if seconds is None:
        return RateLimited(f"{limit} These are {amount.count}: send less at once.")
    wait = math.ceil(seconds + MARGIN)
    return RateLimited(f"{limit} Try again in {wait} s.", retry_after=wait)
