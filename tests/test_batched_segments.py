"""The batched engine: an utterance's segments, made together and heard in order."""

from __future__ import annotations

import numpy as np
import pytest

from tests.batched import PATCH, UNKNOWN, hear, idle, running, segment, utterance
from voxcpm_openai.contracts import Usage
from voxcpm_openai.errors import InvalidRequest, Unavailable
from voxcpm_openai.runtime.job import seed_of


def test_segments_are_made_together_and_heard_in_order_with_their_pauses() -> None:
    with running(8) as (engine, runner):
        heard = hear(engine.speak(utterance("length:9", "length:4", "length:6", pause=0.1)))
        silence = np.zeros(400, np.float32)
        parts = [segment(7, index, n) for index, n in enumerate([9, 4, 6])]
        np.testing.assert_array_equal(heard, np.concatenate([np.r_[p, silence] for p in parts]))
        idle(engine, runner)
        assert max(len(jobs) for jobs in runner.steps) == 3
        assert len(runner.steps) == 9  # no longer than the longest, although others joined later


def test_without_a_clip_the_first_segment_is_the_prompt_of_the_rest() -> None:
    with running(8) as (engine, runner):
        texts = ["length:5", "length:5", "length:5"]
        heard = hear(engine.speak(utterance(*texts, voice=UNKNOWN)))
        assert len(heard) == 15 * PATCH
        prompt = ("prompt", seed_of(7, 0, 0))
        assert [(j.index, p) for j, p in runner.admitted] == [(0, None), (1, prompt), (2, prompt)]
        assert [len(jobs) for jobs in runner.steps] == [1] * 5 + [1, 2, 2, 2, 2, 1]


def test_a_first_segment_that_is_made_again_is_the_prompt_only_once_it_is_good() -> None:
    with running(8) as (engine, runner):
        hear(engine.speak(utterance("length:5 dead", "length:5", voice=UNKNOWN)))
        prompt = ("prompt", seed_of(7, 0, 1))
        assert [(j.index, p) for j, p in runner.admitted] == [(0, None), (0, None), (1, prompt)]


def test_a_segment_that_gives_no_prompt_fails_its_utterance_alone() -> None:
    with running(8) as (engine, runner):
        other = engine.speak(utterance("length:9"))
        mute = engine.speak(utterance("length:5 mute", "length:5", voice=UNKNOWN))
        with pytest.raises(Unavailable):
            hear(mute)
        assert len(hear(other)) == 9 * PATCH
        idle(engine, runner)


@pytest.mark.parametrize("fault", ["astray room:12", "dead"])
def test_a_segment_that_goes_wrong_unheard_is_made_again_unseen(fault: str) -> None:
    with running(8) as (engine, runner):
        stream = engine.speak(utterance("length:60", f"length:8 {fault}"))
        expected = [segment(7, 0, 60), segment(7, 1, 8, attempt=1)]
        np.testing.assert_array_equal(hear(stream), np.concatenate(expected))
        assert [job.index for job, _ in runner.admitted] == [0, 1, 1]
        assert stream.usage == Usage(1 + len(f"length:8 {fault}".split()), 68)


def test_what_is_heard_ends_at_its_budget_and_the_rest_follows() -> None:
    with running(8) as (engine, runner):
        stream = engine.speak(utterance("length:9 endless room:12", "length:5"))
        expected = [segment(7, 0, 12), segment(7, 1, 5)]
        np.testing.assert_array_equal(hear(stream), np.concatenate(expected))
        assert [job.index for job, _ in runner.admitted] == [0, 1]


def test_a_seed_is_drawn_where_none_is_asked_for() -> None:
    with running() as (engine, _):
        first, second = (hear(engine.speak(utterance("length:5", seed=None))) for _ in range(2))
        assert first.shape == second.shape
        assert not np.array_equal(first, second)


def test_options_reach_the_job() -> None:
    with running() as (engine, runner):
        hear(engine.speak(utterance("length:5")))
        options = {"cfg_value": 3, "inference_steps": 5}
        hear(engine.speak(utterance("length:5", options=options)))
        assert [(j.cfg, j.steps) for j, _ in runner.admitted] == [(2.0, 10), (3.0, 5)]
        with pytest.raises(InvalidRequest, match="cfg_value"):
            engine.speak(utterance("length:5", options={"cfg_value": "much"}))


def test_usage_is_final_at_the_end() -> None:
    with running() as (engine, _):
        stream = engine.speak(utterance("length:5", "length:6 and more"))
        hear(stream)
        assert stream.usage == Usage(4, 11)
