"""The batched engine when a step, a job or the device fails, and when it is stopped."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voxcpm_openai.errors import EngineFailed, InvalidRequest, Unavailable
from voxcpm_openai.testing.mock_runner import (
    PATCH,
    TIMEOUT,
    collect,
    idle,
    running,
    segment,
    utterance,
)


def test_a_failing_step_fails_its_jobs_and_the_loop_continues() -> None:
    with running(4, rows_per_step=1) as (engine, runner):
        good = engine.synthesize(utterance("length:9", seed=1))
        bad = engine.synthesize(utterance("length:9 boom:2", seed=2))
        with pytest.raises(Unavailable):
            collect(bad)
        np.testing.assert_array_equal(collect(good), segment(1, 0, 9))
        np.testing.assert_array_equal(
            collect(engine.synthesize(utterance("length:5"))), segment(7, 0, 5)
        )
        idle(engine, runner)
        assert (engine.status().failed, engine.status().completed) == (1, 2)


def test_a_job_that_cannot_be_admitted_fails_alone() -> None:
    with running() as (engine, runner):
        good = engine.synthesize(utterance("length:9"))
        with pytest.raises(Unavailable, match="log"):
            collect(engine.synthesize(utterance("length:9 bad")))
        assert len(collect(good)) == 9 * PATCH
        idle(engine, runner)


def test_request_errors_of_the_runner_are_raised_unchanged() -> None:
    with running() as (engine, runner):
        with pytest.raises(InvalidRequest, match="unsayable"):
            collect(engine.synthesize(utterance("length:5", "unsayable")))
        with pytest.raises(InvalidRequest, match="refused"):
            engine.synthesize(utterance("length:5", "refuse"))
        with pytest.raises(InvalidRequest, match="nothing"):
            engine.synthesize(utterance())
        idle(engine, runner)


@pytest.mark.parametrize("fault", ["lost", "lost-late:3", "short:3"])
def test_a_lost_device_ends_all_streams_and_sets_the_engine_to_failed(fault: str) -> None:
    with running(2, gated=True) as (engine, runner, gate):
        active = engine.synthesize(utterance("length:20"))
        gate.wait_in_step(1)
        failing = engine.synthesize(utterance(f"length:9 {fault}"))
        waiting = engine.synthesize(utterance("length:9"))
        gate.open()
        for stream in (active, failing, waiting):
            with pytest.raises(EngineFailed):
                collect(stream)
        with pytest.raises(EngineFailed) as caught:
            engine.synthesize(utterance("length:9"))
        assert caught.value.headers["x-should-retry"] == "false"
        engine.stop()
        status = engine.status()
        assert (status.state, status.running, status.streams) == ("failed", 0, 0)
        assert len(runner.live) == 2, "a failed runner is not called again"
        with pytest.raises(EngineFailed):
            engine.synthesize(utterance("length:9"))


def test_a_device_lost_in_request_preparation_sets_the_engine_to_failed() -> None:
    with running() as (engine, _):
        with pytest.raises(EngineFailed):
            engine.synthesize(utterance("lost-early"))
        assert engine.status().state == "failed"


def test_stop_ends_waiting_streams_and_the_thread(pool: ThreadPoolExecutor) -> None:
    with running(1, gated=True) as (engine, runner, gate):
        streams = [engine.synthesize(utterance("length:9", "length:9")) for _ in range(2)]
        results = [pool.submit(collect, stream) for stream in streams]
        gate.wait_in_step(1)
        stopping = pool.submit(engine.stop)
        for result in results:  # at once, not at the end of the step
            with pytest.raises(Unavailable, match="stopped"):
                result.result(TIMEOUT)
        gate.open()
        stopping.result(TIMEOUT)
        assert "voxcpm-engine" not in {thread.name for thread in threading.enumerate()}
        assert runner.live == {}
        assert engine.status().state == "stopped"
        with pytest.raises(Unavailable, match="stopped"):
            engine.synthesize(utterance("length:9"))
