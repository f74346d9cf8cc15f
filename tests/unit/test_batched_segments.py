"""The segments of an utterance: generated together and delivered in order."""

from __future__ import annotations

import numpy as np
import pytest

from voxcpm_openai.contracts import Usage
from voxcpm_openai.errors import InvalidRequest, Unavailable
from voxcpm_openai.runtime.engine.job import seed_of
from voxcpm_openai.testing.mock_runner import (
    PATCH,
    UNKNOWN,
    collect,
    idle,
    running,
    segment,
    utterance,
)


def test_segments_are_generated_together_and_delivered_in_order_with_pauses() -> None:
    with running(8) as (engine, runner):
        texts = ["length:9", "length:4", "length:6"]
        samples = collect(engine.synthesize(utterance(*texts, pause=0.1)))
        silence = np.zeros(400, np.float32)
        parts = [segment(7, index, n) for index, n in enumerate([9, 4, 6])]
        np.testing.assert_array_equal(samples, np.concatenate([np.r_[p, silence] for p in parts]))
        idle(engine, runner)
        assert max(len(jobs) for jobs in runner.steps) == 3
        assert len(runner.steps) == 9  # as many as the longest segment takes


def test_without_a_clip_the_first_segment_is_the_prompt_of_the_rest() -> None:
    with running(8) as (engine, runner):
        texts = ["length:5", "length:5", "length:5"]
        samples = collect(engine.synthesize(utterance(*texts, voice=UNKNOWN)))
        assert len(samples) == 15 * PATCH
        prompt = ("prompt", seed_of(7, 0, 0))
        assert [(j.index, p) for j, p in runner.admitted] == [(0, None), (1, prompt), (2, prompt)]
        assert [len(jobs) for jobs in runner.steps] == [1] * 5 + [1, 2, 2, 2, 2, 1]


def test_a_retried_first_segment_is_the_prompt_only_after_it_succeeds() -> None:
    with running(8) as (engine, runner):
        collect(engine.synthesize(utterance("length:5 silent", "length:5", voice=UNKNOWN)))
        prompt = ("prompt", seed_of(7, 0, 1))
        assert [(j.index, p) for j, p in runner.admitted] == [(0, None), (0, None), (1, prompt)]


def test_a_segment_without_a_continuation_fails_only_its_utterance() -> None:
    with running(8) as (engine, runner):
        other = engine.synthesize(utterance("length:9"))
        texts = ["length:5 no-continuation", "length:5"]
        failing = engine.synthesize(utterance(*texts, voice=UNKNOWN))
        with pytest.raises(Unavailable):
            collect(failing)
        assert len(collect(other)) == 9 * PATCH
        idle(engine, runner)


@pytest.mark.parametrize("fault", ["failed-attempt room:12", "silent"])
def test_a_failed_attempt_without_delivered_audio_is_retried(fault: str) -> None:
    with running(8) as (engine, runner):
        stream = engine.synthesize(utterance("length:60", f"length:8 {fault}"))
        expected = [segment(7, 0, 60), segment(7, 1, 8, attempt=1)]
        np.testing.assert_array_equal(collect(stream), np.concatenate(expected))
        assert [job.index for job, _ in runner.admitted] == [0, 1, 1]
        assert stream.usage == Usage(1 + len(f"length:8 {fault}".split()), 68)


def test_an_endless_segment_ends_at_its_maximum_length_and_the_next_follows() -> None:
    with running(8) as (engine, runner):
        stream = engine.synthesize(utterance("length:9 endless room:12", "length:5"))
        expected = [segment(7, 0, 12), segment(7, 1, 5)]
        np.testing.assert_array_equal(collect(stream), np.concatenate(expected))
        assert [job.index for job, _ in runner.admitted] == [0, 1]


def test_a_request_without_a_seed_gets_a_random_one() -> None:
    with running() as (engine, _):
        first, second = (
            collect(engine.synthesize(utterance("length:5", seed=None))) for _ in range(2)
        )
        assert first.shape == second.shape
        assert not np.array_equal(first, second)


def test_options_reach_the_job() -> None:
    with running() as (engine, runner):
        collect(engine.synthesize(utterance("length:5")))
        options = {"cfg_value": 3, "inference_steps": 5}
        collect(engine.synthesize(utterance("length:5", options=options)))
        assert [(j.cfg, j.steps) for j, _ in runner.admitted] == [(2.0, 10), (3.0, 5)]
        with pytest.raises(InvalidRequest, match="cfg_value"):
            engine.synthesize(utterance("length:5", options={"cfg_value": "much"}))


def test_usage_is_complete_at_the_end_of_the_stream() -> None:
    with running() as (engine, _):
        stream = engine.synthesize(utterance("length:5", "length:6 and more"))
        collect(stream)
        assert stream.usage == Usage(4, 11)
