"""When the next step is launched: late enough for newcomers, soon enough for the device."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.batched import hear, idle, running, segment, utterance
from voxcpm_openai.errors import Unavailable
from voxcpm_openai.runtime.pace import LEAD_SECONDS, LEAD_SHARE, Pace


def test_before_anything_is_known_the_next_step_is_launched_at_once() -> None:
    assert Pace().next_launch(5.0) <= 5.0


def test_it_is_launched_a_little_before_the_one_before_ends() -> None:
    pace = Pace()
    pace.landed(10.0, 10.2)
    assert pace.step_seconds == pytest.approx(0.2)
    lead = LEAD_SECONDS + LEAD_SHARE * 0.2
    assert pace.next_launch(11.0) == pytest.approx(11.2 - lead)  # the device had nothing to do


def test_a_step_that_was_launched_ahead_begins_when_the_device_is_free() -> None:
    pace = Pace()
    pace.landed(10.0, 10.2)
    lead = LEAD_SECONDS + LEAD_SHARE * 0.2
    assert pace.next_launch(10.15) == pytest.approx(10.4 - lead)
    pace.landed(10.15, 10.3)
    assert pace.step_seconds == pytest.approx(0.2 - 0.1 * 0.1)
    assert pace.next_launch(10.29) == pytest.approx(10.4 - LEAD_SECONDS - LEAD_SHARE * 0.1)


@contextmanager
def slow(steps: int) -> Iterator[Any]:
    """Give an engine on a clock by which a step takes days, and a runner whose first steps are done
    when the engine looks for the second time; the others when ``free`` is set.
    """
    free, looks = threading.Event(), Counter[int]()

    def done(number: int) -> bool:
        looks[number] += 1
        return looks[number] > 1 and (number < steps or free.is_set())

    now = 0.0

    def note(_: str, __: int) -> None:
        nonlocal now
        now += 1e6

    with running(ahead=True, clock=lambda: now) as (engine, runner):
        runner.note, runner.done = note, done
        yield engine, runner, free


def test_a_device_that_is_done_sooner_than_before_does_not_wait() -> None:
    with slow(50) as (engine, runner, _):
        np.testing.assert_array_equal(hear(engine.speak(utterance("length:20"))), segment(7, 0, 20))
        idle(engine, runner)


def test_who_comes_while_the_device_works_is_in_the_next_step() -> None:
    with slow(6) as (engine, runner, free):
        speaks = engine.speak(utterance("length:20"))
        runner.wait_for(lambda: len(runner.steps) == 6)
        joins = engine.speak(utterance("length:5", seed=8))
        free.set()
        np.testing.assert_array_equal(hear(speaks), segment(7, 0, 20))
        np.testing.assert_array_equal(hear(joins), segment(8, 0, 5))
        assert set(runner.steps[6]) == {*speaks.jobs, *joins.jobs}


def test_an_engine_that_is_stopped_waits_for_no_newcomer() -> None:
    with slow(6) as (engine, runner, _):
        stream = engine.speak(utterance("length:50"))
        runner.wait_for(lambda: len(runner.steps) == 6)
        engine.stop()
        assert len(runner.steps) <= 7
        with pytest.raises(Unavailable):
            hear(stream)
