"""The launch time of the next step: late enough for new streams, in time for the device."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from voxcpm_openai.errors import Unavailable
from voxcpm_openai.runtime.engine.timing import LaunchTimer
from voxcpm_openai.testing.mock_runner import collect, idle, running, segment, utterance


def test_without_measurements_the_next_step_is_launched_at_once() -> None:
    assert LaunchTimer().next_launch(5.0) <= 5.0


def test_the_next_step_is_launched_shortly_before_the_current_one_ends() -> None:
    timer = LaunchTimer()
    timer.step_done(10.0, 10.2)
    assert timer.step_seconds == pytest.approx(0.2)
    # 1 ms and 15 % of a step before its end; the device was idle.
    assert timer.next_launch(11.0) == pytest.approx(11.2 - 0.031)


def test_a_step_launched_ahead_begins_when_the_device_is_free() -> None:
    timer = LaunchTimer()
    timer.step_done(10.0, 10.2)
    assert timer.next_launch(10.15) == pytest.approx(10.4 - 0.031)
    timer.step_done(10.15, 10.3)
    assert timer.step_seconds == pytest.approx(0.2 - 0.1 * 0.1)
    assert timer.next_launch(10.29) == pytest.approx(10.4 - 0.016)


@contextmanager
def slow_device(steps: int) -> Iterator[Any]:
    """Yield an engine whose steps take days by its clock, its runner, and ``free``.

    The first ``steps`` steps are done when the engine polls a second time, the others when
    ``free`` is set.
    """
    free, polls = threading.Event(), Counter[int]()

    def done(number: int) -> bool:
        polls[number] += 1
        return polls[number] > 1 and (number < steps or free.is_set())

    now = 0.0

    def record(_: str, __: int) -> None:
        nonlocal now
        now += 1e6

    with running(ahead=True, clock=lambda: now) as (engine, runner):
        runner.record, runner.done = record, done
        yield engine, runner, free


def test_a_device_that_finishes_sooner_than_before_does_not_wait() -> None:
    with slow_device(50) as (engine, runner, _):
        np.testing.assert_array_equal(
            collect(engine.synthesize(utterance("length:20"))), segment(7, 0, 20)
        )
        idle(engine, runner)


def test_a_stream_that_arrives_during_a_step_is_in_the_next_one() -> None:
    with slow_device(6) as (engine, runner, free):
        active = engine.synthesize(utterance("length:20"))
        runner.wait_for(lambda: len(runner.steps) == 6)
        late = engine.synthesize(utterance("length:5", seed=8))
        free.set()
        np.testing.assert_array_equal(collect(active), segment(7, 0, 20))
        np.testing.assert_array_equal(collect(late), segment(8, 0, 5))
        assert set(runner.steps[6]) == {*active.jobs, *late.jobs}


def test_stop_does_not_wait_for_the_launch_time() -> None:
    with slow_device(6) as (engine, runner, _):
        stream = engine.synthesize(utterance("length:50"))
        runner.wait_for(lambda: len(runner.steps) == 6)
        engine.stop()
        assert len(runner.steps) <= 7
        with pytest.raises(Unavailable):
            collect(stream)
