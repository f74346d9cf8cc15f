"""The deadline gate when it is closed, and when a ticket is used again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.watched_gate import TIMEOUT, WatchedGate
from voxcpm_openai.errors import Unavailable


def test_a_closed_gate_grants_no_place_and_wakes_waiting_threads(pool: ThreadPoolExecutor) -> None:
    gate = WatchedGate(1)
    busy, waiting = gate.busy(), gate.register()
    answer = pool.submit(gate.acquire, waiting, 1.0)
    assert waiting.wake.awaited.wait(TIMEOUT)
    gate.close()
    assert answer.result(TIMEOUT) is False
    assert gate.closed
    with pytest.raises(Unavailable):
        gate.register()
    assert gate.counts() == (0, 1, 0)  # streams, running, waiting
    gate.release(busy)
    assert gate.acquire(busy, 0.0) is False


def test_a_ticket_that_released_its_place_may_wait_again(pool: ThreadPoolExecutor) -> None:
    gate = WatchedGate(1)
    ticket = gate.busy()
    gate.release(ticket)
    other = gate.busy()
    answer = pool.submit(gate.acquire, ticket, 1.0)
    assert ticket.wake.awaited.wait(TIMEOUT)
    gate.release(other)
    assert answer.result(TIMEOUT) is True
    assert gate.counts() == (2, 1, 0)


def test_a_ticket_unregistered_while_it_waits_again_gets_no_place(
    pool: ThreadPoolExecutor,
) -> None:
    gate = WatchedGate(1)
    ticket = gate.busy()
    gate.release(ticket)
    other = gate.busy()
    answer = pool.submit(gate.acquire, ticket, 1.0)
    assert ticket.wake.awaited.wait(TIMEOUT)
    gate.unregister(ticket)
    assert answer.result(TIMEOUT) is False
    gate.release(other)
    assert gate.counts() == (1, 0, 0)
