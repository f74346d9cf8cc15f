"""The batched engine when streams are closed, and when it is overloaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voxcpm_openai.errors import Overloaded
from voxcpm_openai.testing.mock_runner import (
    PATCH,
    TIMEOUT,
    collect,
    idle,
    running,
    segment,
    utterance,
)


def test_close_wakes_a_waiting_reader(pool: ThreadPoolExecutor) -> None:
    with running(gated=True) as (engine, runner, gate):
        stream = engine.synthesize(utterance("length:5"))
        samples = pool.submit(collect, stream)
        gate.wait_in_step(1)
        assert not samples.done()
        stream.close()
        assert len(samples.result(TIMEOUT)) == 0
        stream.close()
        gate.open()
        idle(engine, runner)
        assert engine.status().cancelled == 1


def test_a_closed_stream_is_removed_before_the_next_step() -> None:
    with running(gated=True) as (engine, runner, gate):
        closed = engine.synthesize(utterance("length:50"))
        other = engine.synthesize(utterance("length:6", seed=8))
        gate.permit()
        gate.wait_in_step(2)
        closed.close()
        gate.open()
        np.testing.assert_array_equal(collect(other), segment(8, 0, 6))
        assert not any(job in closed.jobs for jobs in runner.steps[2:] for job in jobs)


def test_a_stream_closed_while_it_waits_never_gets_a_slot() -> None:
    with running(1, gated=True) as (engine, runner, gate):
        first = engine.synthesize(utterance("length:5"))
        gate.wait_in_step(1)
        engine.synthesize(utterance("length:5", seed=8)).close()
        gate.open()
        collect(first)
        idle(engine, runner)
        assert [job for job, _ in runner.admitted] == list(first.jobs)


def test_the_first_audio_arrives_early_under_load() -> None:
    with running(8, rows_per_step=2, gated=True) as (engine, runner, gate):
        texts = ["length:30"] * 20
        long_streams = [engine.synthesize(utterance(*texts, seed=seed)) for seed in range(2)]
        gate.permit(40)
        gate.wait_in_step(41)
        late = engine.synthesize(utterance("length:9", seed=9))
        gate.permit(2)
        first = next(late)
        assert len(runner.steps) <= 43
        gate.open()
        for stream in long_streams:
            stream.close()
        assert len(first.samples) + len(collect(late)) == 9 * PATCH


def test_retry_after_is_predicted_from_the_measured_step_time() -> None:
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
        active = engine.synthesize(utterance("x" * 40 + " length:30"))
        gate.permit(4)
        gate.wait_in_step(5)
        queued = engine.synthesize(utterance("length:5"))
        with pytest.raises(Overloaded) as caught:
            engine.synthesize(utterance("refuse"))  # the limit is checked before the text
        left = active.jobs[0].length.expected_patches - 4
        # The rest of the active job, then the waiting one, estimated to be as long as the first.
        seconds = 2 * (left + active.jobs[0].length.expected_patches)
        assert caught.value.headers["Retry-After"] == str(seconds)
        status = engine.status()
        assert (status.running, status.waiting) == (1, 1)
        assert status.details["seconds_per_patch"] == pytest.approx(2.0)
        assert status.details["steps_per_second"] == pytest.approx(0.5)
        assert status.details["real_time_factor"] == pytest.approx(25.0)
        assert status.details["runner"] == {"memory": 7}
        active.close()
        gate.open()
        assert len(collect(queued)) == 5 * PATCH
