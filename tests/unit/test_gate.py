"""The deadline gate: bounded concurrency, earliest deadline first."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.watched_gate import TIMEOUT, WatchedGate
from voxcpm_openai import DeadlineGate


def test_a_free_place_goes_to_the_earliest_deadline(pool: ThreadPoolExecutor) -> None:
    gate, order = WatchedGate(1), []
    busy = gate.busy()

    def work(ticket: Any, deadline: float) -> None:
        assert gate.acquire(ticket, deadline)
        order.append(deadline)
        gate.release(ticket)

    futures = []
    for deadline in (3.0, 1.0, 4.0, 2.0):
        ticket = gate.register()
        futures.append(pool.submit(work, ticket, deadline))
        assert ticket.wake.awaited.wait(TIMEOUT)
    assert gate.counts() == (5, 1, 4)
    gate.release(busy)
    for future in futures:
        future.result(TIMEOUT)
    assert order == [1.0, 2.0, 3.0, 4.0]


def test_up_to_n_streams_run_at_once_with_n_places() -> None:
    gate = WatchedGate(3)
    for running in (1, 2, 3):
        gate.busy()
        assert gate.counts().running == running


def test_unregister_wakes_the_waiting_thread_and_the_next_one_gets_the_place(
    pool: ThreadPoolExecutor,
) -> None:
    gate = WatchedGate(1)
    busy = gate.busy()
    first, second = gate.register(), gate.register()
    answers = [pool.submit(gate.acquire, ticket, n) for n, ticket in enumerate((first, second))]
    assert first.wake.awaited.wait(TIMEOUT)
    assert second.wake.awaited.wait(TIMEOUT)
    gate.unregister(first)
    assert answers[0].result(TIMEOUT) is False
    gate.release(busy)
    assert answers[1].result(TIMEOUT) is True


def test_the_place_of_an_unregistered_stream_is_released() -> None:
    gate = WatchedGate(1)
    ticket = gate.busy()
    gate.unregister(ticket)
    assert gate.counts() == (0, 1, 0)
    gate.release(ticket)
    assert gate.acquire(ticket, 0.0) is False
    gate.busy()


@pytest.mark.parametrize("places", [1, 3])
def test_no_place_is_lost_or_granted_twice_when_streams_unregister_at_any_time(places: int) -> None:
    gate = DeadlineGate(places)
    busy = threading.Semaphore(places)
    tickets: list[Any] = []

    def stream(number: int) -> int:
        rng, passed = random.Random(number), 0
        ticket = gate.register()
        tickets.append(ticket)
        for _ in range(30):
            if not gate.acquire(ticket, rng.random()):
                break
            assert busy.acquire(blocking=False), "more streams are running than there are places"
            passed += 1
            if rng.random() < 0.1:
                gate.unregister(rng.choice(tickets))
            busy.release()
            gate.release(ticket)
        gate.unregister(ticket)
        return passed

    with ThreadPoolExecutor(16) as pool:
        passed = sum(pool.map(stream, range(100), timeout=TIMEOUT))
    assert passed > 100
    assert gate.counts() == (0, 0, 0)
