"""The batched engine on a device that works by itself: the next step is launched first."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.batched import PATCH, UNKNOWN, hear, idle, running, segment, utterance
from voxcpm_openai.contracts import Chunk
from voxcpm_openai.errors import EngineFailed, Unavailable
from voxcpm_openai.runtime.runner_protocol import DeviceError


def test_the_next_step_is_launched_before_the_sound_of_the_last_is_handed_out() -> None:
    with running(ahead=True) as (engine, runner):
        np.testing.assert_array_equal(hear(engine.speak(utterance("length:4"))), segment(7, 0, 4))
        idle(engine, runner)
    assert runner.notes == [
        ("launch", 1), ("stops", 1),
        ("launch", 2), ("samples", 1), ("stops", 2),
        ("launch", 3), ("samples", 2), ("stops", 3),
        ("launch", 4), ("samples", 3), ("stops", 4),
        ("samples", 4),
    ]  # fmt: skip


def test_a_row_that_has_ended_is_in_no_further_step() -> None:
    with running(ahead=True) as (engine, runner):
        long, short = (engine.speak(utterance(f"length:{n}", seed=n)) for n in (9, 5))
        for stream, length in ((short, 5), (long, 9)):
            np.testing.assert_array_equal(hear(stream), segment(length, 0, length))
        idle(engine, runner)
    assert sum(short.jobs[0] in jobs for jobs in runner.steps) == 5
    assert sum(long.jobs[0] in jobs for jobs in runner.steps) == 9


def test_a_segment_made_again_drops_the_patch_that_was_on_its_way() -> None:
    with running(1, ahead=True) as (engine, runner):
        heard = hear(engine.speak(utterance("length:5 dead", "length:4")))
        idle(engine, runner)
    expected = np.concatenate([segment(7, 0, 5, attempt=1), segment(7, 1, 4)])
    np.testing.assert_array_equal(heard, expected)


def test_segments_without_a_clip_wait_for_the_sound_of_the_first() -> None:
    with running(ahead=True) as (engine, runner):
        stream = engine.speak(utterance("length:5", "length:4", "length:4", voice=UNKNOWN))
        hear(stream)
        idle(engine, runner)
    seed = stream.jobs[0].seed
    assert [prompt for _, prompt in runner.admitted] == [None, *[("prompt", seed)] * 2]


def test_who_is_still_read_holds_up_nobody() -> None:
    with running(ahead=True, gated=True) as (engine, runner, gate):
        speaks = engine.speak(utterance("length:9"))
        gate.wait_in_step(1)
        joins = engine.speak(utterance("length:4 read:3", seed=8))
        gate.open()
        np.testing.assert_array_equal(hear(speaks), segment(7, 0, 9))
        np.testing.assert_array_equal(hear(joins), segment(8, 0, 4))
        idle(engine, runner)
    together = [set(jobs) for jobs in runner.steps]
    assert together[:4] == [set(speaks.jobs)] * 4
    assert together[4:8] == [{*speaks.jobs, *joins.jobs}] * 4


def test_a_text_that_is_read_alone_is_read_to_its_end() -> None:
    with running(ahead=True) as (engine, runner):
        heard = hear(engine.speak(utterance("length:4 read:3")))
        idle(engine, runner)
    np.testing.assert_array_equal(heard, segment(7, 0, 4))
    assert [len(jobs) for jobs in runner.steps] == [0, 0, 0, 1, 1, 1, 1]


def test_a_step_that_gives_no_sound_fails_its_rows_and_no_others() -> None:
    with running(ahead=True, gated=True) as (engine, runner, gate):
        breaks = engine.speak(utterance("length:9 boom:3"))
        gate.wait_in_step(1)
        gate.let(3)
        gate.wait_in_step(4)  # the one that breaks
        later = engine.speak(utterance("length:6", seed=8))
        gate.open()
        heard: list[Chunk] = []
        with pytest.raises(Unavailable):
            heard.extend(breaks)
        assert sum(len(chunk.samples) for chunk in heard) == 3 * PATCH
        idle(engine, runner)
        np.testing.assert_array_equal(hear(later), segment(8, 0, 6, attempt=0))
        assert engine.status()["state"] == "ready"


@pytest.mark.parametrize("when", ["stops", "samples"])
def test_a_device_lost_at_work_turns_the_engine_red(when: str) -> None:
    with running(ahead=True) as (engine, runner):

        def lost(what: str, number: int) -> None:
            if (what, number) == (when, 3):
                raise DeviceError("lost")

        runner.note = lost
        stream = engine.speak(utterance("length:9"))
        with pytest.raises(EngineFailed):
            hear(stream)
        engine.stop()
        assert engine.status()["state"] == "failed"


def test_who_leaves_while_the_device_works_gets_nothing_and_frees_the_slot() -> None:
    with running(1, ahead=True, gated=True) as (engine, runner, gate):
        leaves = engine.speak(utterance("length:50"))
        gate.let(2)
        gate.wait_in_step(3)
        leaves.close()
        gate.open()
        np.testing.assert_array_equal(
            hear(engine.speak(utterance("length:5", seed=8))), segment(8, 0, 5)
        )
        idle(engine, runner)
        assert engine.status()["cancelled"] == 1


def test_a_patch_on_its_way_counts_for_those_who_run_dry_first() -> None:
    """Two listeners and one row a step: they take turns."""
    with running(2, rows_per_step=1, ahead=True, gated=True) as (engine, runner, gate):
        one = engine.speak(utterance("length:8"))
        gate.wait_in_step(1)
        other = engine.speak(utterance("length:8", seed=8))
        gate.open()
        hear(one)
        hear(other)
        idle(engine, runner)
    turns = [jobs[0] is one.jobs[0] for jobs in runner.steps[1:]]
    # The newcomer is due when it came, and the other when it has heard what came after that.
    assert all(before != after for before, after in pairwise(turns[3:]))
