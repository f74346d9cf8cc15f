"""The batched engine when listeners leave, and when it is overloaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.batched import PATCH, TIMEOUT, hear, idle, running, segment, utterance
from voxcpm_openai.errors import Overloaded


def test_closing_wakes_a_listener_who_waits(pool: ThreadPoolExecutor) -> None:
    with running(gated=True) as (engine, runner, gate):
        stream = engine.speak(utterance("length:5"))
        heard = pool.submit(hear, stream)
        gate.wait_in_step(1)
        assert not heard.done()
        stream.close()
        assert len(heard.result(TIMEOUT)) == 0
        stream.close()
        gate.open()
        idle(engine, runner)
        assert engine.status()["cancelled"] == 1


def test_who_leaves_is_gone_before_the_next_step() -> None:
    with running(gated=True) as (engine, runner, gate):
        leaves = engine.speak(utterance("length:50"))
        stays = engine.speak(utterance("length:6", seed=8))
        gate.let()
        gate.wait_in_step(2)
        leaves.close()
        gate.open()
        np.testing.assert_array_equal(hear(stays), segment(8, 0, 6))
        assert not any(job in leaves.jobs for jobs in runner.steps[2:] for job in jobs)


def test_who_leaves_while_waiting_never_gets_a_slot() -> None:
    with running(1, gated=True) as (engine, runner, gate):
        first = engine.speak(utterance("length:5"))
        gate.wait_in_step(1)
        engine.speak(utterance("length:5", seed=8)).close()
        gate.open()
        hear(first)
        idle(engine, runner)
        assert [job for job, _ in runner.admitted] == list(first.jobs)


def test_the_first_sound_comes_early_under_load() -> None:
    with running(8, rows_per_step=2, gated=True) as (engine, runner, gate):
        texts = [engine.speak(utterance(*["length:30"] * 20, seed=seed)) for seed in range(2)]
        gate.let(40)
        gate.wait_in_step(41)
        newcomer = engine.speak(utterance("length:9", seed=9))
        gate.let(2)
        first = next(newcomer)
        assert len(runner.steps) <= 43
        gate.open()
        for text in texts:
            text.close()
        assert len(first.samples) + len(hear(newcomer)) == 9 * PATCH


def test_overload_says_from_the_measured_rate_when_to_come_back() -> None:
    now = 0.0

    def clock() -> float:
        return now

    with running(1, gated=True, max_waiting=1, clock=clock) as (engine, runner, gate):
        wait = runner.in_step

        def slow_step() -> None:
            nonlocal now
            wait()
            now += 2.0

        runner.in_step = slow_step
        speaks = engine.speak(utterance("x" * 40 + " length:30"))
        gate.let(4)
        gate.wait_in_step(5)
        waits = engine.speak(utterance("length:5"))
        with pytest.raises(Overloaded) as caught:
            engine.speak(utterance("refuse"))  # which would be seen, were the text read before
        left = speaks.jobs[0].budget.likely - 4
        # The job that runs, then a whole one: as nobody knows better, as long as the first.
        seconds = 2 * (left + speaks.jobs[0].budget.likely)
        assert caught.value.headers["Retry-After"] == str(seconds)
        status = engine.status()
        assert (status["live"], status["waiting"]) == (1, 1)
        assert status["seconds_per_patch"] == pytest.approx(2.0)
        assert status["steps_per_second"] == pytest.approx(0.5)
        assert status["real_time_factor"] == pytest.approx(25.0)
        assert status["runner"] == {"memory": 7}
        speaks.close()
        gate.open()
        assert len(hear(waits)) == 5 * PATCH
