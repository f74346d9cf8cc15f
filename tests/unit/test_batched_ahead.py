"""The batched engine on an asynchronous device: the next step is launched ahead."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from voxcpm_openai.contracts import Chunk
from voxcpm_openai.errors import EngineFailed, Unavailable
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.testing.mock_runner import (
    PATCH,
    UNKNOWN,
    collect,
    idle,
    running,
    segment,
    utterance,
)


def test_the_next_step_is_launched_before_the_audio_of_the_last_is_delivered() -> None:
    with running(ahead=True) as (engine, runner):
        np.testing.assert_array_equal(
            collect(engine.synthesize(utterance("length:4"))), segment(7, 0, 4)
        )
        idle(engine, runner)
    assert runner.calls == [
        ("launch", 1), ("stop_flags", 1),
        ("launch", 2), ("samples", 1), ("stop_flags", 2),
        ("launch", 3), ("samples", 2), ("stop_flags", 3),
        ("launch", 4), ("samples", 3), ("stop_flags", 4),
        ("samples", 4),
    ]  # fmt: skip


def test_a_row_that_has_ended_is_in_no_further_step() -> None:
    with running(ahead=True) as (engine, runner):
        long, short = (engine.synthesize(utterance(f"length:{n}", seed=n)) for n in (9, 5))
        for stream, length in ((short, 5), (long, 9)):
            np.testing.assert_array_equal(collect(stream), segment(length, 0, length))
        idle(engine, runner)
    assert sum(short.jobs[0] in jobs for jobs in runner.steps) == 5
    assert sum(long.jobs[0] in jobs for jobs in runner.steps) == 9


def test_a_retried_segment_drops_the_patch_in_flight() -> None:
    with running(1, ahead=True) as (engine, runner):
        samples = collect(engine.synthesize(utterance("length:5 silent", "length:4")))
        idle(engine, runner)
    expected = np.concatenate([segment(7, 0, 5, attempt=1), segment(7, 1, 4)])
    np.testing.assert_array_equal(samples, expected)


def test_without_a_clip_later_segments_wait_for_the_audio_of_the_first() -> None:
    with running(ahead=True) as (engine, runner):
        stream = engine.synthesize(utterance("length:5", "length:4", "length:4", voice=UNKNOWN))
        collect(stream)
        idle(engine, runner)
    seed = stream.jobs[0].seed
    assert [prompt for _, prompt in runner.admitted] == [None, *[("prompt", seed)] * 2]


def test_a_row_in_prefill_does_not_delay_the_others() -> None:
    with running(ahead=True, gated=True) as (engine, runner, gate):
        running_stream = engine.synthesize(utterance("length:9"))
        gate.wait_in_step(1)
        late_stream = engine.synthesize(utterance("length:4 prefill:3", seed=8))
        gate.open()
        np.testing.assert_array_equal(collect(running_stream), segment(7, 0, 9))
        np.testing.assert_array_equal(collect(late_stream), segment(8, 0, 4))
        idle(engine, runner)
    rows = [set(jobs) for jobs in runner.steps]
    assert rows[:4] == [set(running_stream.jobs)] * 4
    assert rows[4:8] == [{*running_stream.jobs, *late_stream.jobs}] * 4


def test_prefill_of_a_single_row_runs_to_its_end() -> None:
    with running(ahead=True) as (engine, runner):
        samples = collect(engine.synthesize(utterance("length:4 prefill:3")))
        idle(engine, runner)
    np.testing.assert_array_equal(samples, segment(7, 0, 4))
    assert [len(jobs) for jobs in runner.steps] == [0, 0, 0, 1, 1, 1, 1]


def test_a_step_whose_audio_fails_fails_only_its_own_rows() -> None:
    with running(ahead=True, gated=True) as (engine, runner, gate):
        failing = engine.synthesize(utterance("length:9 boom:3"))
        gate.wait_in_step(1)
        gate.permit(3)
        gate.wait_in_step(4)  # the step that fails
        later = engine.synthesize(utterance("length:6", seed=8))
        gate.open()
        chunks: list[Chunk] = []
        with pytest.raises(Unavailable):
            chunks.extend(failing)
        assert sum(len(chunk.samples) for chunk in chunks) == 3 * PATCH
        idle(engine, runner)
        np.testing.assert_array_equal(collect(later), segment(8, 0, 6, attempt=0))
        assert engine.status().state == "ready"


@pytest.mark.parametrize("call", ["stop_flags", "samples"])
def test_a_device_lost_during_a_step_sets_the_engine_to_failed(call: str) -> None:
    with running(ahead=True) as (engine, runner):

        def lose_device(what: str, number: int) -> None:
            if (what, number) == (call, 3):
                raise DeviceError("lost")

        runner.record = lose_device
        stream = engine.synthesize(utterance("length:9"))
        with pytest.raises(EngineFailed):
            collect(stream)
        engine.stop()
        assert engine.status().state == "failed"


def test_a_stream_closed_during_a_step_frees_its_slot() -> None:
    with running(1, ahead=True, gated=True) as (engine, runner, gate):
        cancelled = engine.synthesize(utterance("length:50"))
        gate.permit(2)
        gate.wait_in_step(3)
        cancelled.close()
        gate.open()
        np.testing.assert_array_equal(
            collect(engine.synthesize(utterance("length:5", seed=8))), segment(8, 0, 5)
        )
        idle(engine, runner)
        assert engine.status().cancelled == 1


def test_a_patch_in_flight_counts_towards_the_playout_deadline() -> None:
    """With two streams and one row per step, the streams alternate."""
    with running(2, rows_per_step=1, ahead=True, gated=True) as (engine, runner, gate):
        one = engine.synthesize(utterance("length:8"))
        gate.wait_in_step(1)
        other = engine.synthesize(utterance("length:8", seed=8))
        gate.open()
        collect(one)
        collect(other)
        idle(engine, runner)
    first_stepped = [jobs[0] is one.jobs[0] for jobs in runner.steps[1:]]
    # The second is due at its arrival, the first when the audio it received is played.
    assert all(before != after for before, after in pairwise(first_stepped[3:]))
