"""Streams by key: each has its own limit, and one key takes no place of the others."""

from __future__ import annotations

import threading

import pytest

from voxcpm_openai.errors import ClientLeft, RateLimited
from voxcpm_openai.limits import EVERYBODY, Holder, StreamLimiter

JANE, JOHN = Holder("jane", 2), Holder("john")
SECONDS = 20


def test_a_holder_has_no_more_than_it_may_and_others_are_not_concerned() -> None:
    streams = StreamLimiter(10)
    first, _ = streams.enter(JANE), streams.enter(JANE)
    with pytest.raises(RateLimited) as caught:
        streams.enter(JANE)
    assert caught.value.headers == {"Retry-After": "1"}
    for holder in (JOHN, JOHN, JOHN, EVERYBODY):
        streams.enter(holder)
    with first:
        pass
    assert (streams.held(JANE), streams.held(JOHN), streams.running) == (1, 3, 5)
    streams.enter(JANE)


def test_a_limit_that_has_changed_counts_at_once() -> None:
    streams = StreamLimiter(10)
    for _ in range(2):
        streams.enter(JANE)
    streams.enter(Holder("jane", 3))
    with pytest.raises(RateLimited):
        streams.enter(JANE)
    streams.enter(Holder("jane", 0))


def test_who_goes_on_waits_for_its_own_streams_and_takes_no_place_of_others_meanwhile() -> None:
    streams = StreamLimiter(3)
    permits = [streams.enter(JANE), streams.enter(JANE)]
    found: list[object] = []

    def enter_again() -> None:
        found.append(streams.reenter(SECONDS, lambda: False, JANE))

    waiting = [threading.Thread(target=enter_again) for _ in range(2)]
    for thread in waiting:
        thread.start()
    while sum(streams._waiting.values()) < 2:
        pass
    with streams.enter(JOHN):  # the last place is not kept for Jane, who may not have it
        pass
    for permit in permits:
        with permit:
            pass
    for thread in waiting:
        thread.join(SECONDS)
    assert len(found) == 2
    assert streams.held(JANE) == 2


def test_who_goes_on_is_refused_in_the_end_and_leaves_at_once() -> None:
    streams = StreamLimiter(3)
    for _ in range(2):
        streams.enter(JANE)
    with pytest.raises(RateLimited):
        streams.reenter(0, lambda: False, JANE)
    with pytest.raises(ClientLeft):
        streams.reenter(SECONDS, lambda: True, JANE)


def test_a_place_is_kept_for_who_goes_on_and_may_have_it() -> None:
    streams = StreamLimiter(1)
    permit = streams.enter(JOHN)
    done = threading.Event()

    def enter_again() -> None:
        with streams.reenter(SECONDS, lambda: False, JANE):
            done.set()

    thread = threading.Thread(target=enter_again)
    thread.start()
    while not streams._waiting:
        pass
    with permit:
        pass
    assert done.wait(SECONDS)
    thread.join(SECONDS)
    assert (streams.held(JANE), streams.running) == (0, 0)
