"""The batched engine when a step, a job or the device fails, and when it is stopped."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.batched import PATCH, TIMEOUT, hear, idle, running, segment, utterance
from voxcpm_openai.errors import EngineFailed, InvalidRequest, Unavailable


def test_a_failing_step_fails_its_jobs_and_the_loop_goes_on() -> None:
    with running(4, rows_per_step=1) as (engine, runner):
        good = engine.speak(utterance("length:9", seed=1))
        bad = engine.speak(utterance("length:9 boom:2", seed=2))
        with pytest.raises(Unavailable):
            hear(bad)
        np.testing.assert_array_equal(hear(good), segment(1, 0, 9))
        np.testing.assert_array_equal(hear(engine.speak(utterance("length:5"))), segment(7, 0, 5))
        idle(engine, runner)
        assert (engine.status()["failed"], engine.status()["done"]) == (1, 2)


def test_a_job_that_cannot_be_admitted_fails_alone() -> None:
    with running() as (engine, runner):
        good = engine.speak(utterance("length:9"))
        with pytest.raises(Unavailable, match="log"):
            hear(engine.speak(utterance("length:9 bad")))
        assert len(hear(good)) == 9 * PATCH
        idle(engine, runner)


def test_what_the_runner_refuses_is_raised_as_it_is() -> None:
    with running() as (engine, runner):
        with pytest.raises(InvalidRequest, match="unsayable"):
            hear(engine.speak(utterance("length:5", "unsayable")))
        with pytest.raises(InvalidRequest, match="refused"):
            engine.speak(utterance("length:5", "refuse"))
        with pytest.raises(InvalidRequest, match="nothing"):
            engine.speak(utterance())
        idle(engine, runner)


@pytest.mark.parametrize("fault", ["lost", "lost-late:3", "short:3"])
def test_a_lost_device_ends_all_streams_and_turns_the_engine_red(fault: str) -> None:
    with running(2, gated=True) as (engine, runner, gate):
        speaks = engine.speak(utterance("length:20"))
        gate.wait_in_step(1)
        breaks = engine.speak(utterance(f"length:9 {fault}"))
        waits = engine.speak(utterance("length:9"))
        gate.open()
        for stream in (speaks, breaks, waits):
            with pytest.raises(EngineFailed):
                hear(stream)
        with pytest.raises(EngineFailed) as caught:
            engine.speak(utterance("length:9"))
        assert caught.value.headers["x-should-retry"] == "false"
        engine.stop()
        status = engine.status()
        assert (status["state"], status["live"], status["streams"]) == ("failed", 0, 0)
        assert len(runner.live) == 2, "a runner that failed is not to be touched again"
        with pytest.raises(EngineFailed):
            engine.speak(utterance("length:9"))


def test_a_device_lost_while_a_request_is_read_turns_the_engine_red() -> None:
    with running() as (engine, _):
        with pytest.raises(EngineFailed):
            engine.speak(utterance("lost-early"))
        assert engine.status()["state"] == "failed"


def test_stop_ends_streams_that_wait_and_the_thread(pool: ThreadPoolExecutor) -> None:
    with running(1, gated=True) as (engine, runner, gate):
        streams = [engine.speak(utterance("length:9", "length:9")) for _ in range(2)]
        listeners = [pool.submit(hear, stream) for stream in streams]
        gate.wait_in_step(1)
        stopping = pool.submit(engine.stop)
        for listener in listeners:  # at once, and not when the step is over
            with pytest.raises(Unavailable, match="stopped"):
                listener.result(TIMEOUT)
        gate.open()
        stopping.result(TIMEOUT)
        assert "voxcpm-engine" not in {thread.name for thread in threading.enumerate()}
        assert runner.live == {}
        assert engine.status()["state"] == "stopped"
        with pytest.raises(Unavailable, match="stopped"):
            engine.speak(utterance("length:9"))
