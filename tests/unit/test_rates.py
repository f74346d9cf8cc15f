"""Rates: the sliding window, the parts of several workers, and Redis that comes and goes."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import Clock, avoid_end_of_minute, rate_clock
from tests.support.redis_server import Redis
from voxcpm_openai.accounts.rates import RETRY_INTERVAL, Amount, RateLimiter, share
from voxcpm_openai.errors import SettingsError

NUMBERS = st.integers(1, 10_000)


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    with rate_clock() as clock:
        yield clock


def requests(limit: int, count: int = 1) -> list[Amount]:
    return [Amount("requests", count, limit)]


def admitted(rates: RateLimiter, limit: int, tries: int, holder: str = "jane") -> int:
    return sum(rates.consume(holder, requests(limit)).refusal is None for _ in range(tries))


@given(NUMBERS, st.integers(1, 256))
def test_the_parts_are_never_more_than_the_limit_but_each_has_one(limit: int, workers: int) -> None:
    part = share(limit, workers)
    assert part >= 1
    assert part * workers <= max(limit, workers)
    assert part * workers > limit - workers
    assert share(0, workers) == 0


@given(st.integers(1, 30), st.integers(1, 5), st.lists(st.integers(0, 4), max_size=60))
def test_workers_together_admit_no_more_than_the_limit(
    clock: Clock, limit: int, workers: int, order: list[int]
) -> None:
    clock.now = 60_000.0
    group = [RateLimiter(workers=workers) for _ in range(workers)]
    count = sum(
        group[one % workers].consume("jane", requests(limit)).refusal is None for one in order
    )
    assert count <= max(limit, workers)


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 90), st.integers(1, 50)), min_size=1, max_size=12),
)
def test_a_request_fits_after_the_seconds_that_its_refusal_says(
    clock: Clock, limit: int, asked: list[tuple[float, int]]
) -> None:
    """And the characters of a minute are never more than the limit and one minute's rounding."""
    clock.now = 60_000.0
    rates = RateLimiter()
    for pause, count in asked:
        clock.now += pause
        refusal = rates.consume("jane", requests(limit, count)).refusal
        if refusal is None:
            continue
        if count > limit:
            assert refusal.headers == {"x-should-retry": "false"}
            continue
        assert refusal.retry_after is not None
        assert 1 <= refusal.retry_after <= 121
        clock.now += refusal.retry_after
        assert rates.consume("jane", requests(limit, count)).refusal is None


def test_what_is_left_is_told_and_nothing_is_taken_of_one_limit_if_the_other_refuses(
    clock: Clock,
) -> None:
    clock.now = 60_000.0
    rates = RateLimiter()

    def take(characters: int) -> tuple[dict[str, tuple[int, int]], bool]:
        amounts = [Amount("requests", 1, 3), Amount("characters", characters, 100)]
        taken = rates.consume("jane", amounts)
        left = {name: (one.limit, one.remaining) for name, one in taken.budgets.items()}
        return left, taken.refusal is None

    assert take(60) == ({"requests": (3, 2), "characters": (100, 40)}, True)
    assert take(60) == ({"requests": (3, 2), "characters": (100, 40)}, False)
    assert take(40) == ({"requests": (3, 1), "characters": (100, 0)}, True)
    assert rates.consume("jane", [Amount("requests", 1, 0)]).budgets == {}
    assert rates.consume("john", [Amount("requests", 1, 1)]).refusal is None


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


def test_two_workers_count_together_in_redis(redis: Redis) -> None:
    avoid_end_of_minute()
    first, second = (RateLimiter(redis.url, workers=2) for _ in range(2))
    found = [admitted(rates, 100, 5, "shared") for rates in (first, second)]
    assert found == [5, 5]
    assert second.consume("shared", requests(100)).budgets["requests"].remaining == 89
    refused = second.consume("shared", requests(100, 95)).refusal
    assert refused is not None
    assert refused.retry_after is not None
    assert 60 <= refused.retry_after <= 120
    assert admitted(first, 5, 9, "few") + admitted(second, 5, 9, "few") == 5


def test_without_redis_each_worker_enforces_its_share_until_it_answers_again(
    redis: Redis,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock.now = 60_000.0
    monotonic = Clock(time.monotonic())
    monkeypatch.setattr(time, "monotonic", monotonic)
    caplog.set_level(logging.INFO, "voxcpm_openai")
    rates = RateLimiter(redis.url, workers=2)
    assert admitted(rates, 1000, 3) == 3
    redis.stop()
    assert admitted(rates, 8, 10) == 4
    assert (rates.failures, rates.reaches_redis()) == (1, False)  # not one failure per request
    monotonic.now += RETRY_INTERVAL
    assert admitted(rates, 8, 10) == 0
    assert rates.failures == 2
    redis.start()
    monotonic.now += RETRY_INTERVAL
    assert admitted(rates, 8, 10) == 8
    logged = [record.message.partition(";")[0] for record in caplog.records]
    assert logged == ["Redis does not answer", "Redis answers again"]


def test_a_url_that_cannot_be_used_and_a_missing_package_stop_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError, match="VOXCPM_LIMITS_URL cannot be used"):
        RateLimiter("redis://127.0.0.1:port")
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.backoff", None)
    with pytest.raises(SettingsError, match="needs the package redis: pip install"):
        RateLimiter("redis://127.0.0.1")


def test_a_request_is_served_if_there_is_no_thread_to_count_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    assert RateLimiter().consume("jane", requests(1)).refusal is None
