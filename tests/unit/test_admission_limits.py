"""Limits of the scheduler: slots kept free, rows of a step, refusals."""

from __future__ import annotations

import pytest

from tests.support.scheduling import admitted, fill, join, scheduler, step, stream
from voxcpm_openai.errors import Overloaded
from voxcpm_openai.runtime.engine.job import Job
from voxcpm_openai.runtime.engine.scheduler import Scheduler
from voxcpm_openai.runtime.engine.timing import StepCostModel

# Slots kept free for new streams


@pytest.mark.parametrize(("slots", "taken"), [(1, 1), (2, 1), (3, 2), (8, 6), (64, 48)])
def test_later_segments_leave_a_quarter_of_the_slots_free(slots: int, taken: int) -> None:
    s = scheduler(slots)
    join(s, stream(*[5] * 100))
    fill(s)
    assert len(s.live) == taken


# Rows of a step


def test_fewer_rows_are_assumed_to_take_no_longer_than_more_rows() -> None:
    cost = StepCostModel()
    cost.record(3, 2.0)
    assert not cost.keeps_up(3, 1.0)
    cost.record(5, 0.5)
    assert cost.keeps_up(3, 1.0)
    assert cost.keeps_up(5, 1.0)


def test_a_slower_step_of_more_rows_does_not_change_the_cost_of_fewer() -> None:
    cost = StepCostModel()
    cost.record(3, 0.5)
    cost.record(5, 2.0)
    assert cost.keeps_up(3, 1.0)
    assert not cost.keeps_up(5, 1.0)


def test_a_step_that_takes_as_long_as_its_audio_keeps_up() -> None:
    cost = StepCostModel()
    cost.record(3, 1.0)
    assert cost.keeps_up(3, 1.0)


def one_row_keeps_up(scheduler: Scheduler) -> None:
    """Record steps in which one row keeps up and two do not."""
    scheduler.record_step(1, 0.5)
    scheduler.record_step(2, 1.5)


@pytest.mark.parametrize(("buffered", "count"), [(1, 0), (2, 1)])
def test_segments_after_the_next_are_admitted_when_over_1_5_seconds_are_buffered(
    buffered: int, count: int
) -> None:
    s, text = scheduler(8), stream(9, 9, 9)
    join(s, text)
    assert len(admitted(s)) == 1
    one_row_keeps_up(s)
    assert [row.job.index for _, row in s.admit(0.0)] == [1], "its prompt is read meanwhile"
    for _ in range(buffered):
        step(s, 0, 0.0)
    assert len(s.admit(0.0)) == count


@pytest.mark.parametrize(("buffered", "rows"), [(1, [0]), (2, [0, 1])])
def test_the_urgent_row_is_stepped_alone_when_two_do_not_keep_up(
    buffered: int, rows: list[int]
) -> None:
    s, text = scheduler(8), stream(9, 9)
    join(s, text)
    fill(s)
    one_row_keeps_up(s)
    for _ in range(buffered):
        step(s, 0, 0.0)
    assert s.rows(0.0) == rows


def test_an_ended_job_is_not_counted_among_the_urgent_rows() -> None:
    s = scheduler(8)
    streams = [stream(9) for _ in range(4)]
    join(s, *streams)
    fill(s)
    s.record_step(2, 0.5)
    s.record_step(3, 1.5)
    streams[0].jobs[0].count_patch(True)  # its last audio is in flight
    for _ in range(3):
        step(s, 3, 0.0)  # the last stream has buffered audio
    assert s.rows(0.0) == [1, 2]


# Refusals


def busy(**bounds: float) -> tuple[Scheduler, list[Job]]:
    """Return a scheduler whose two slots are taken for 8 and 20 steps of half a second."""
    s = scheduler(2, **bounds)
    s.record_iteration(0.5)
    join(s, stream(8), stream(20))
    return s, admitted(s)


def test_a_refusal_states_the_number_of_waiting_requests_and_the_wait() -> None:
    s, _ = busy(max_waiting=1)
    join(s, stream(7))
    with pytest.raises(Overloaded, match=r": 1 other requests wait\. .* in 10 s\.") as caught:
        s.check_room()
    assert caught.value.retry_after == 10


def test_a_refusal_without_measurements_has_a_retry_after_of_one_second() -> None:
    s = scheduler(1, max_waiting=0)
    join(s, stream(5))
    admitted(s)
    with pytest.raises(Overloaded, match=r": 0 other requests wait\. Try again in 1 s\."):
        s.check_room()


def test_no_more_than_max_waiting_streams_wait() -> None:
    s, _ = busy(max_waiting=3)
    join(s, stream(7), stream(7), stream(7))
    with pytest.raises(Overloaded):
        s.check_room()
    assert s.waiting == 3


def test_a_wait_of_exactly_max_wait_is_accepted() -> None:
    s, _ = busy(max_wait=4.0)
    s.check_room()
    with pytest.raises(Overloaded):
        busy(max_wait=3.9)[0].check_room()


def test_live_rows_cause_no_predicted_wait_while_slots_are_free() -> None:
    s = scheduler(5)
    s.record_iteration(0.5)
    join(s, stream(8), stream(20), stream(30))
    fill(s)
    assert s.predicted_wait() == 0
