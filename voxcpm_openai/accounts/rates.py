"""Rate limits per minute, counted in this process or in Redis.

The algorithm is the sliding window counter of the package ``limits``: the current minute counts in
full, and the previous one in proportion to its overlap with the window.
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
REDIS_TIMEOUT = 0.5
"""Seconds."""
MARGIN = 0.01
"""Seconds added to the wait, because counts are rounded."""
RETRY_INTERVAL = 5.0
"""Seconds after a failure until Redis is tried again."""
MEMORY = "memory://"


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount to consume, and its limit per minute (0: unlimited)."""

    unit: str
    count: int
    limit: int


@dataclass(frozen=True, slots=True)
class Budget:
    """The remaining part of a limit.  ``reset``: seconds until all of it is available."""

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The budgets by unit, and the error if nothing was consumed."""

    budgets: Mapping[str, Budget] = field(default_factory=dict)
    refusal: RateLimited | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The counts of the previous and of the current minute."""

    previous: int
    previous_left: float
    current: int
    current_left: float
    """Seconds until the count of the current minute has no weight."""

    def used(self) -> int:
        """Return the weighted count."""
        return math.floor(self.previous * self.previous_left / WINDOW) + self.current

    def wait(self, count: int, limit: int) -> float:
        """Return the seconds until ``count``, at most ``limit``, is admitted."""
        room = limit - count
        if self.used() <= room:
            return 0.0
        if self.current <= room:  # while the previous minute loses weight
            return self.previous_left - (room + 1 - self.current) * WINDOW / self.previous
        end = max(0.0, self.current_left - WINDOW)
        return end + max(0.0, WINDOW - (room + 1) * WINDOW / self.current)

    def budget(self, limit: int, taken: int = 0) -> Budget:
        """Return the budget of a limit after ``taken`` more."""
        reset = self.previous_left if self.previous else 0.0
        if self.current or taken:
            reset = self.current_left or 2 * WINDOW
        return Budget(limit, max(0, limit - self.used() - taken), reset)


def share(limit: int, workers: int) -> int:
    """Return each worker's share of a limit that the workers divide (0: unlimited).

    The sum of the shares is at most the limit, except that each share is at least 1.
    """
    return max(1, limit // workers) if limit else 0


class RateLimiter:
    """Enforces rate limits.  With Redis, all workers and servers count together.

    While Redis does not answer, each worker enforces its share in memory: no request fails.
    """

    def __init__(self, url: str = "", workers: int = 1) -> None:
        """``url``: of Redis, or empty.  Raises SettingsError if its package is missing."""
        self.failures = 0
        """The number of requests to Redis without an answer."""
        self._workers = workers
        self._lock = threading.Lock()
        self._memory: SlidingWindowCounterRateLimiter | None = None
        self._redis = _redis(url) if url else None
        self._retry_at = 0.0
        self._is_down = False

    def consume(self, holder: str, amounts: Sequence[Amount]) -> Decision:
        """Consume all of these amounts, or none."""
        limited = [amount for amount in amounts if amount.limit]
        if not limited:
            return Decision()
        if self._redis is not None and time.monotonic() >= self._retry_at:
            try:
                decision = _consume(self._redis, holder, limited)
            except StorageError as error:
                self._fail(error)
            else:
                self._recover()
                return decision
        divided = [replace(one, limit=share(one.limit, self._workers)) for one in limited]
        with self._lock:  # _consume reads and counts in two steps
            try:
                return _consume(self._in_memory(), holder, divided)
            except RuntimeError as error:  # the storage starts threads; the system may have none
                logger.warning("a request is not counted: %s", error)
                return Decision()

    def _in_memory(self) -> SlidingWindowCounterRateLimiter:
        if self._memory is None:  # created late: it starts a thread
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

    def _fail(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + RETRY_INTERVAL
        self.failures += 1
        if not self._is_down:
            logger.error("Redis does not answer; each worker enforces its share: %s", error)
        self._is_down = True

    def _recover(self) -> None:
        if self._is_down:
            logger.info("Redis answers again; limits are shared again")
        self._is_down = False


def _redis(url: str) -> SlidingWindowCounterRateLimiter:
    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise SettingsError(
            "VOXCPM_LIMITS_URL needs the package redis: pip install 'voxcpm-openai[redis]'"
        ) from error
    options: dict[str, Any] = {
        "socket_timeout": REDIS_TIMEOUT,
        "socket_connect_timeout": REDIS_TIMEOUT,
        "retry": Retry(NoBackoff(), 1),  # a connection of the pool may have been closed
        "wrap_exceptions": True,
        "key_prefix": "voxcpm",
    }
    try:
        return SlidingWindowCounterRateLimiter(storage_from_string(url, **options))
    except ValueError as error:
        raise SettingsError(f"VOXCPM_LIMITS_URL cannot be used: {error}") from error


def _consume(
    limiter: SlidingWindowCounterRateLimiter, holder: str, amounts: Sequence[Amount]
) -> Decision:
    """Consume all amounts, or none.  Raises StorageError.

    The amounts before one that another worker has just used up stay consumed.
    """
    rows = [(amount, RateLimitItemPerMinute(amount.limit, namespace="rate")) for amount in amounts]
    windows = [_window(limiter, item, holder, amount.unit) for amount, item in rows]
    pairs = list(zip(amounts, windows, strict=True))
    budgets = {amount.unit: window.budget(amount.limit) for amount, window in pairs}
    for amount in amounts:
        if amount.count > amount.limit:
            return Decision(budgets, _refusal(amount, None))
    amount, window = max(pairs, key=lambda pair: pair[1].wait(pair[0].count, pair[0].limit))
    if (seconds := window.wait(amount.count, amount.limit)) > 0:
        return Decision(budgets, _refusal(amount, seconds))
    for amount, item in rows:
        if amount.count and not limiter.hit(item, amount.unit, holder, cost=amount.count):
            window = _window(limiter, item, holder, amount.unit)  # used up by another worker
            return Decision(budgets, _refusal(amount, window.wait(amount.count, amount.limit)))
    return Decision({one.unit: window.budget(one.limit, one.count) for one, window in pairs})


def _window(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, holder: str, unit: str
) -> Window:
    storage = cast(SlidingWindowCounterSupport, limiter.storage)
    return Window(*storage.get_sliding_window(item.key_for(unit, holder), WINDOW))


def _refusal(amount: Amount, seconds: float | None) -> RateLimited:
    """Return the error; ``seconds``: until the amount is admitted, None if it never is."""
    limit = f"Rate limit reached: {amount.limit} {amount.unit} per minute."
    if seconds is None:
        return RateLimited(f"{limit} This request has {amount.count}; split it.")
    wait = math.ceil(seconds + MARGIN)
    return RateLimited(f"{limit} Try again in {wait} s.", retry_after=wait)
