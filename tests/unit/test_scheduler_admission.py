"""The scheduler gives slots to streams and to their later segments, and frees them."""

from __future__ import annotations

from tests.support.scheduling import admitted, fill, join, scheduler, step, stream
from voxcpm_openai.runtime.engine.job import JobState


def test_new_streams_get_the_lowest_free_slots_in_order_of_arrival() -> None:
    s = scheduler(4)
    late, early = stream(5, arrived=2.0), stream(5, arrived=1.0)
    join(s, late, early)
    assert [(slot, row.stream) for slot, row in s.admit(0.0)] == [(0, early), (1, late)]
    assert early.current.state is JobState.LIVE
    assert s.admit(0.0) == []


def test_streams_beyond_the_number_of_slots_wait() -> None:
    s = scheduler(2)
    streams = [stream(5, arrived=i) for i in range(3)]
    join(s, *streams)
    assert admitted(s) == [streams[0].current, streams[1].current]
    assert s.waiting == 1
    step(s, 1, 9.0, stopped=True)
    assert [slot for slot, _ in s.admit(0.0)] == [1]
    assert s.live[1].stream is streams[2]


def test_later_segments_are_admitted_one_at_a_time() -> None:
    s = scheduler(8)
    text = stream(5, 5, 5, 5)
    join(s, text)
    assert [admitted(s) for _ in range(5)] == [[job] for job in text.jobs] + [[]]


def test_later_segments_leave_slots_free_for_new_streams() -> None:
    s = scheduler(8)
    join(s, stream(*[5] * 20))
    fill(s)
    assert sorted(s.live) == [0, 1, 2, 3, 4, 5]
    new_streams = [stream(5, arrived=1.0), stream(5, arrived=2.0)]
    join(s, *new_streams)
    assert admitted(s) == [one.current for one in new_streams]


def test_no_later_segment_is_admitted_together_with_a_new_stream() -> None:
    s = scheduler(8)
    text = stream(5, 5)
    join(s, text)
    s.admit(0.0)
    new_stream = stream(5)
    join(s, new_stream)
    assert admitted(s) == [new_stream.current]
    assert admitted(s) == [text.jobs[1]]


def test_the_later_segment_with_the_earliest_deadline_is_admitted_first() -> None:
    s = scheduler(8)
    long, short = stream(30, 5, arrived=0.0), stream(10, 5, arrived=1.0)
    join(s, long, short)
    s.admit(0.0)
    assert [admitted(s), admitted(s)] == [[short.jobs[1]], [long.jobs[1]]]


def test_the_current_segment_may_take_the_last_slot() -> None:
    s = scheduler(1)
    text = stream(5, 5)
    join(s, text)
    assert admitted(s) == [text.jobs[0]]
    assert admitted(s) == []
    step(s, 0, 0.0, stopped=True)
    assert admitted(s) == [text.jobs[1]]


def test_segments_that_continue_the_first_wait_until_it_is_done() -> None:
    s = scheduler(8)
    text = stream(5, 5, 5, one_speaker=True)
    join(s, text)
    assert admitted(s) == [text.jobs[0]]
    assert admitted(s) == []
    step(s, 0, 0.0, stopped=True)
    assert [admitted(s), admitted(s)] == [[text.jobs[1]], [text.jobs[2]]]


def test_a_job_to_retry_waits_for_a_slot_again() -> None:
    s = scheduler(2)
    one = stream(5)
    join(s, one)
    s.admit(0.0)
    s.vacate(0, JobState.WAITING)
    assert (s.waiting, s.live) == (1, {})
    assert admitted(s) == [one.current]
    assert not s.ended


def test_a_cancelled_stream_frees_all_its_slots_and_is_counted() -> None:
    s = scheduler(8)
    cancelled, other = stream(*[5] * 9), stream(5)
    join(s, cancelled, other)
    fill(s)
    slot = next(slot for slot, row in s.live.items() if row.job is cancelled.jobs[1])
    step(s, slot, 0.0, stopped=True)
    slots = [slot for slot, row in s.live.items() if row.stream is cancelled]
    assert s.leave(cancelled, JobState.CANCELLED) == slots
    assert s.leave(cancelled, JobState.CANCELLED) == []
    assert s.streams == (other,)
    assert [row.stream for row in s.live.values()] == [other]
    assert s.ended == {JobState.DONE: 1, JobState.CANCELLED: 8}
    new_streams = [stream(1) for _ in range(7)]
    join(s, *new_streams)
    assert admitted(s) == [one.current for one in new_streams]
