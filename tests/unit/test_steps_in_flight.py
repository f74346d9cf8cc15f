"""Events while a step is in flight: closed streams, reused slots, measured time."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from voxcpm_openai.errors import Unavailable
from voxcpm_openai.testing.mock_runner import TIMEOUT, collect, idle, running, segment, utterance


def test_the_last_audio_of_a_closed_stream_does_not_end_the_next_one_in_its_slot(
    pool: ThreadPoolExecutor,
) -> None:
    """Another stream gets the slot while the step of the first is in flight."""
    with running(slots=1, ahead=True) as (engine, runner):
        joined: list[Any] = []
        closed = engine.synthesize(utterance("length:4"))

        def replace_stream() -> None:
            if len(runner.steps) == 4 and not joined:
                joined.append(engine.synthesize(utterance("length:6", seed=8)))
                closed.close()

        runner.in_step = replace_stream
        assert pool.submit(collect, closed).result(TIMEOUT).size <= segment(7, 0, 4).size
        samples = pool.submit(collect, joined[0]).result(TIMEOUT)
        np.testing.assert_array_equal(samples, segment(8, 0, 6))
        idle(engine, runner)


@pytest.mark.parametrize("ahead", [False, True])
def test_the_duration_of_each_step_and_its_rows_are_recorded(ahead: bool) -> None:
    """The step cost model needs them to limit the rows of a step."""
    now = 0.0

    def clock() -> float:
        return now

    def advance() -> None:
        nonlocal now
        now += 0.25

    with running(ahead=ahead, clock=clock) as (engine, runner):
        recorded: list[tuple[int, float]] = []
        engine._scheduler.record_step = lambda rows, seconds: recorded.append((rows, seconds))
        runner.in_step, runner.done = advance, lambda number: True
        collect(engine.synthesize(utterance("length:5")))
        idle(engine, runner)
    assert [rows for rows, _ in recorded] == [1] * 5
    assert sum(seconds for _, seconds in recorded) == pytest.approx(1.25)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_failed_step_is_logged_with_its_traceback(
    ahead: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with running(ahead=ahead) as (engine, runner):
        with caplog.at_level(logging.ERROR), pytest.raises(Unavailable, match="log"):
            collect(engine.synthesize(utterance("length:6 boom:3")))
        np.testing.assert_array_equal(
            collect(engine.synthesize(utterance("length:5"))), segment(7, 0, 5)
        )
        idle(engine, runner)
    tracebacks = [record.exc_info for record in caplog.records if record.exc_info]
    assert "boom" in str(tracebacks[0])


def test_a_patch_in_flight_when_an_attempt_fails_does_not_count_for_the_next_attempt() -> None:
    """The first attempt is silent, which is known only after the next patch was launched."""
    with running(ahead=True) as (engine, runner):
        stream = engine.synthesize(utterance("silent length:60"))
        np.testing.assert_array_equal(collect(stream), segment(7, 0, 60, attempt=1))
        assert stream.usage.output_tokens == 60
        idle(engine, runner)
