"""Whose turn it is, where many speak and only so many can be served at once."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.watched import TIMEOUT, WatchedTurns
from voxcpm_openai import Turns


def test_a_free_place_goes_to_the_earliest_deadline(pool: ThreadPoolExecutor) -> None:
    turns, order = WatchedTurns(1), []
    busy = turns.busy()

    def take_turn(ticket: Any, deadline: float) -> None:
        assert turns.take(ticket, deadline)
        order.append(deadline)
        turns.give(ticket)

    futures = []
    for deadline in (3.0, 1.0, 4.0, 2.0):
        ticket = turns.enter()
        futures.append(pool.submit(take_turn, ticket, deadline))
        assert ticket.go.awaited.wait(TIMEOUT)
    assert turns.status() == {"running": 1, "waiting": 4, "streams": 5, "threads": 1}
    turns.give(busy)
    for future in futures:
        future.result(TIMEOUT)
    assert order == [1.0, 2.0, 3.0, 4.0]


def test_as_many_work_at_once_as_there_are_places() -> None:
    turns = WatchedTurns(3)
    for running in (1, 2, 3):
        turns.busy()
        assert turns.status()["running"] == running


def test_leaving_wakes_the_waiter_and_passes_its_turn_on(pool: ThreadPoolExecutor) -> None:
    turns = WatchedTurns(1)
    busy = turns.busy()
    first, second = turns.enter(), turns.enter()
    answers = [pool.submit(turns.take, ticket, n) for n, ticket in enumerate((first, second))]
    assert first.go.awaited.wait(TIMEOUT)
    assert second.go.awaited.wait(TIMEOUT)
    turns.leave(first)
    assert answers[0].result(TIMEOUT) is False
    turns.give(busy)
    assert answers[1].result(TIMEOUT) is True


def test_a_turn_granted_to_a_stream_that_leaves_is_not_lost() -> None:
    turns = WatchedTurns(1)
    ticket = turns.busy()
    turns.leave(ticket)
    assert turns.status() == {"running": 1, "waiting": 0, "streams": 0, "threads": 1}
    turns.give(ticket)
    assert turns.take(ticket, 0.0) is False
    turns.busy()


@pytest.mark.parametrize("places", [1, 3])
def test_no_place_is_lost_or_doubled_when_streams_leave_at_any_moment(places: int) -> None:
    turns = Turns(places)
    at_work = threading.Semaphore(places)
    tickets: list[Any] = []

    def stream(number: int) -> int:
        chance, turned = random.Random(number), 0
        ticket = turns.enter()
        tickets.append(ticket)
        for _ in range(30):
            if not turns.take(ticket, chance.random()):
                break
            assert at_work.acquire(blocking=False), "more at work than there are places"
            turned += 1
            if chance.random() < 0.1:
                turns.leave(chance.choice(tickets))
            at_work.release()
            turns.give(ticket)
        turns.leave(ticket)
        return turned

    with ThreadPoolExecutor(16) as pool:
        turned = sum(pool.map(stream, range(100), timeout=TIMEOUT))
    assert turned > 100
    assert turns.status() == {"running": 0, "waiting": 0, "streams": 0, "threads": places}
