"""Concurrent streams by key: limits, and independence of the keys."""

from __future__ import annotations

import threading

import pytest

from tests.support.socket_client import until
from voxcpm_openai.errors import ClientLeft, RateLimited
from voxcpm_openai.limits import UNLIMITED, Holder, StreamLimiter

JANE, JOHN = Holder("jane", 2), Holder("john")
SECONDS = 20


def test_a_holder_at_its_limit_is_refused_and_others_are_not() -> None:
    streams = StreamLimiter(10)
    first, _ = streams.enter(JANE), streams.enter(JANE)
    with pytest.raises(RateLimited) as caught:
        streams.enter(JANE)
    assert caught.value.headers == {"Retry-After": "1"}
    for holder in (JOHN, JOHN, JOHN, UNLIMITED):
        streams.enter(holder)
    with first:
        pass
    assert (streams.held(JANE), streams.held(JOHN), streams.running) == (1, 3, 5)
    streams.enter(JANE)


def test_a_changed_limit_takes_effect_at_once() -> None:
    streams = StreamLimiter(10)
    for _ in range(2):
        streams.enter(JANE)
    streams.enter(Holder("jane", 3))
    with pytest.raises(RateLimited):
        streams.enter(JANE)
    streams.enter(Holder("jane", 0))


def test_a_session_that_waits_for_its_holders_streams_reserves_no_place() -> None:
    streams = StreamLimiter(3)
    permits = [streams.enter(JANE), streams.enter(JANE)]
    found: list[object] = []

    def enter_again() -> None:
        found.append(streams.reenter(SECONDS, lambda: False, JANE))

    waiting = [threading.Thread(target=enter_again) for _ in range(2)]
    for thread in waiting:
        thread.start()
    until(lambda: streams.waiting == 2)
    with streams.enter(JOHN):  # the last place is not reserved for Jane, who is at her limit
        pass
    for permit in permits:
        with permit:
            pass
    for thread in waiting:
        thread.join(SECONDS)
    assert len(found) == 2
    assert streams.held(JANE) == 2


def test_a_waiting_session_times_out_or_is_cancelled() -> None:
    streams = StreamLimiter(3)
    for _ in range(2):
        streams.enter(JANE)
    with pytest.raises(RateLimited):
        streams.reenter(0, lambda: False, JANE)
    with pytest.raises(ClientLeft):
        streams.reenter(SECONDS, lambda: True, JANE)


def test_a_place_is_reserved_for_a_session_that_waits_for_room() -> None:
    streams = StreamLimiter(1)
    permit = streams.enter(JOHN)
    done = threading.Event()

    def enter_again() -> None:
        with streams.reenter(SECONDS, lambda: False, JANE):
            done.set()

    thread = threading.Thread(target=enter_again)
    thread.start()
    until(lambda: streams.waiting == 1)
    with permit:
        pass
    assert done.wait(SECONDS)
    thread.join(SECONDS)
    assert (streams.held(JANE), streams.running) == (0, 0)
