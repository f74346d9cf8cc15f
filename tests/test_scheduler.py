"""Who gets a slot, who is stepped next, who comes back later: decided by hand, second by second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxcpm_openai.contracts import Segment
from voxcpm_openai.errors import Overloaded
from voxcpm_openai.runtime.burden import Burden
from voxcpm_openai.runtime.job import Budget, Job, State
from voxcpm_openai.runtime.scheduler import Scheduler
from voxcpm_openai.runtime.stream import Stream

RATE = 100
SECOND = np.full(RATE, 0.5, np.float32)
"""A patch: one second of sound."""


@dataclass(frozen=True)
class Read:
    tokens: int = 1
    room: int = 1_000


def stream(*likely: int, arrived: float = 0.0, one_speaker: bool = False) -> Stream:
    """Return a stream of segments that are likely so many seconds long."""
    jobs: list[Job] = []
    for index, seconds in enumerate(likely):
        after = jobs[0] if jobs and one_speaker else None
        budget = Budget(1.0, 1, seconds, 1_000)
        jobs.append(Job(index, Segment("word"), Read(), budget, RATE, root=0, after=after))
    return Stream(jobs, RATE, arrived)


def scheduler(
    slots: int, *, rows: int = 99, max_waiting: int = 99, max_wait: float = 1e9
) -> Scheduler:
    return Scheduler(
        slots, rows_per_step=rows, max_waiting=max_waiting, max_wait=max_wait, patch_seconds=1.0
    )


def join(scheduler: Scheduler, *streams: Stream) -> None:
    for one in streams:
        scheduler.join(one)


def admitted(scheduler: Scheduler) -> list[Job]:
    return [row.job for _, row in scheduler.admit(0.0)]


def fill(scheduler: Scheduler) -> None:
    """Admit all who may join."""
    while scheduler.admit(0.0):
        pass


def step(scheduler: Scheduler, slot: int, now: float, *, stopped: bool = False) -> None:
    """Make a second of sound in a slot, as the engine does."""
    row = scheduler.live[slot]
    row.job.advance(stopped)
    state = row.job.grow(SECOND)
    if state is not State.LIVE:
        scheduler.vacate(slot, state)
    row.stream.flow(now)
    if row.stream.ended:
        scheduler.leave(row.stream, State.DONE)


# Admission


def test_newcomers_get_the_lowest_free_slots_in_order_of_arrival() -> None:
    s = scheduler(4)
    late, early = stream(5, arrived=2.0), stream(5, arrived=1.0)
    join(s, late, early)
    assert [(slot, row.stream) for slot, row in s.admit(0.0)] == [(0, early), (1, late)]
    assert early.head.state is State.LIVE
    assert s.admit(0.0) == []


def test_more_newcomers_than_slots_wait() -> None:
    s = scheduler(2)
    streams = [stream(5, arrived=i) for i in range(3)]
    join(s, *streams)
    assert admitted(s) == [streams[0].head, streams[1].head]
    assert s.waiting == 1
    step(s, 1, 9.0, stopped=True)
    assert [slot for slot, _ in s.admit(0.0)] == [1]
    assert s.live[1].stream is streams[2]


def test_segments_that_nobody_hears_yet_join_one_at_a_time() -> None:
    s = scheduler(8)
    text = stream(5, 5, 5, 5)
    join(s, text)
    assert [admitted(s) for _ in range(5)] == [[job] for job in text.jobs] + [[]]


def test_segments_that_nobody_hears_yet_leave_places_to_newcomers() -> None:
    s = scheduler(8)
    join(s, stream(*[5] * 20))
    fill(s)
    assert sorted(s.live) == [0, 1, 2, 3, 4, 5]
    newcomers = [stream(5, arrived=1.0), stream(5, arrived=2.0)]
    join(s, *newcomers)
    assert admitted(s) == [one.head for one in newcomers]


def test_no_segment_joins_beside_a_newcomer_whom_it_would_hold_up() -> None:
    s = scheduler(8)
    text = stream(5, 5)
    join(s, text)
    s.admit(0.0)
    newcomer = stream(5)
    join(s, newcomer)
    assert admitted(s) == [newcomer.head]
    assert admitted(s) == [text.jobs[1]]


def test_the_segment_that_is_heard_soonest_joins_first() -> None:
    s = scheduler(8)
    long, short = stream(30, 5, arrived=0.0), stream(10, 5, arrived=1.0)
    join(s, long, short)
    s.admit(0.0)
    assert [admitted(s), admitted(s)] == [[short.jobs[1]], [long.jobs[1]]]


def test_a_segment_takes_the_last_place_when_its_listener_waits_for_it() -> None:
    s = scheduler(1)
    text = stream(5, 5)
    join(s, text)
    assert admitted(s) == [text.jobs[0]]
    assert admitted(s) == []
    step(s, 0, 0.0, stopped=True)
    assert admitted(s) == [text.jobs[1]]


def test_segments_after_the_first_wait_until_it_is_done() -> None:
    s = scheduler(8)
    text = stream(5, 5, 5, one_speaker=True)
    join(s, text)
    assert admitted(s) == [text.jobs[0]]
    assert admitted(s) == []
    step(s, 0, 0.0, stopped=True)
    assert [admitted(s), admitted(s)] == [[text.jobs[1]], [text.jobs[2]]]


def test_a_job_that_is_made_again_waits_anew() -> None:
    s = scheduler(2)
    one = stream(5)
    join(s, one)
    s.admit(0.0)
    s.vacate(0, State.WAITING)
    assert (s.waiting, s.live) == (1, {})
    assert admitted(s) == [one.head]
    assert not s.ended


def test_who_leaves_frees_all_its_slots_and_is_counted() -> None:
    s = scheduler(8)
    gone, stays = stream(*[5] * 9), stream(5)
    join(s, gone, stays)
    fill(s)
    step(
        s, next(slot for slot, row in s.live.items() if row.job is gone.jobs[1]), 0.0, stopped=True
    )
    slots = [slot for slot, row in s.live.items() if row.stream is gone]
    assert s.leave(gone, State.CANCELLED) == slots
    assert s.leave(gone, State.CANCELLED) == []
    assert s.streams == (stays,)
    assert [row.stream for row in s.live.values()] == [stays]
    assert s.ended == {State.DONE: 1, State.CANCELLED: 8}
    newcomers = [stream(1) for _ in range(7)]
    join(s, *newcomers)
    assert admitted(s) == [one.head for one in newcomers]


# Slack


def test_all_rows_are_stepped_while_a_step_carries_them() -> None:
    s = scheduler(8, rows=3)
    join(s, *(stream(5) for _ in range(3)))
    fill(s)
    assert s.rows(0.0) == [0, 1, 2]


def test_the_stream_that_is_ahead_waits() -> None:
    s = scheduler(4, rows=1)
    join(s, stream(50), stream(50))
    fill(s)
    for _ in range(5):
        step(s, 0, 0.0)
    step(s, 1, 0.0)
    stepped = []
    for _ in range(4):
        (slot,) = s.rows(0.0)
        stepped.append(slot)
        step(s, slot, 0.5)
    assert stepped == [1, 1, 1, 1]


def test_a_newcomer_counts_as_dry() -> None:
    s = scheduler(4, rows=2)
    join(s, stream(50), stream(50), stream(50))
    fill(s)
    for slot in range(3):
        step(s, slot, 0.0)
    join(s, stream(50, arrived=0.9))
    fill(s)
    assert s.rows(0.0)[-1] == 3


def test_segments_behind_come_after_a_newcomer_though_they_were_there_before() -> None:
    s = scheduler(8, rows=2)
    text = stream(10, 10, 10, 10)
    join(s, text)
    fill(s)
    step(s, 0, 0.0)
    join(s, stream(10, arrived=1.5))
    fill(s)
    assert s.rows(0.0) == [0, 4]
    step(s, 0, 1.0)
    step(s, 4, 1.0)
    assert s.rows(0.0) == [0, 4]


def test_segments_behind_count_by_the_sound_before_them() -> None:
    s = scheduler(8, rows=2)
    join(s, stream(3, 3, 3))
    fill(s)
    stepped = []
    for _ in range(4):
        rows = s.rows(0.0)
        stepped.append(rows)
        for slot in rows:
            step(s, slot, 0.0)
    # Due at 0, 3, 6; then 1, 4, 6; 2, 5, 6; 3, 6, 6 ...
    assert stepped == [[0, 1]] * 4


def test_a_stream_that_ran_dry_long_ago_does_not_hold_up_newcomers_for_as_long() -> None:
    s = scheduler(4, rows=1)
    join(s, stream(50))
    fill(s)
    for now in (0.0, 10.0, 20.0):  # ten seconds for one: never in time
        step(s, 0, now)
    join(s, stream(50, arrived=20.5))
    fill(s)
    assert s.rows(0.0) == [1]
    step(s, 1, 30.0)
    assert s.rows(0.0) == [0]


@settings(deadline=None)
@given(
    slots=st.integers(1, 8),
    rows=st.integers(1, 4),
    texts=st.lists(
        st.tuples(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.booleans()), max_size=5
    ),
    stops=st.lists(st.booleans(), max_size=30),
)
def test_of_all_jobs_those_that_are_due_first_join_and_are_stepped(
    slots: int, rows: int, texts: list[tuple[list[int], bool]], stops: list[bool]
) -> None:
    s = scheduler(slots, rows=rows)
    join(s, *(stream(*likely, one_speaker=one) for likely, one in texts))
    for now, stopped in enumerate(stops):
        heads = [one for one in s.streams if one.head.state is State.WAITING]
        ready = {
            job: due
            for one in s.streams
            for job, due in one.dues()
            if job.state is State.WAITING and (not job.after or job.after.state is State.DONE)
        }
        joined = admitted(s)
        if joined and not heads:
            assert ready[joined[0]] == min(ready.values())
        assert s.waiting == sum(job.state is State.WAITING for one in s.streams for job in one.jobs)
        dues = {job: due for one in s.streams for job, due in one.dues()}
        stepped = {s.live[slot].job for slot in s.rows(0.0)}
        rested = {row.job for row in s.live.values()} - stepped
        assert len(stepped) == min(rows, len(s.live))
        if rested:
            assert max(dues[job] for job in stepped) <= min(dues[job] for job in rested)
        for slot in s.rows(0.0):
            step(s, slot, float(now), stopped=stopped)


@settings(deadline=None)
@given(
    slots=st.integers(1, 6),
    rows=st.integers(1, 3),
    step_seconds=st.sampled_from([0.1, 0.7, 3.0]),
    row_seconds=st.sampled_from([0.0, 0.2, 2.0]),
    texts=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=5),
)
def test_nobody_starves_though_newcomers_never_end(
    slots: int, rows: int, step_seconds: float, row_seconds: float, texts: list[list[int]]
) -> None:
    s = scheduler(slots, rows=rows)
    watched = [stream(*likely) for likely in texts]
    join(s, *watched)
    now = 0.0
    for _ in range(2_000):
        s.admit(now)
        stepped = s.rows(now)
        lasts = step_seconds + row_seconds * len(stepped)
        for slot in stepped:
            job = s.live[slot].job
            step(s, slot, now, stopped=job.patches + 1 >= job.budget.likely)
        s.stepped(len(stepped), lasts)
        now += lasts
        if len(s.streams) < len(watched) + 2 * slots:
            s.join(stream(2, arrived=now))
        if all(one.ended for one in watched):
            return
    pytest.fail(f"after {now} s still speaking: {[one.ended for one in watched]}")


# What can be carried


def heard(s: Scheduler, text: Stream, *, base: float, row: float) -> tuple[list[int], float]:
    """Speak a text with steps of ``base + row`` a row seconds.

    Returns how many rows the steps had, and the seconds for which the listener heard nothing.
    """
    now, counts, silent = 0.0, [], 0.0
    while not text.ended:
        s.admit(now)
        rows = s.rows(now)
        lasts = base + row * len(rows)
        now += lasts
        begun = text.head.patches > 0 or text.head.index > 0
        silent += max(0.0, now - text.dry_at) if begun else 0.0
        for slot in rows:
            job = s.live[slot].job
            step(s, slot, now, stopped=job.patches + 1 >= job.budget.likely)
        s.stepped(len(rows), lasts)
        counts.append(len(rows))
    return counts, silent


def test_segments_that_are_heard_later_do_not_interrupt_the_one_that_is_heard_now() -> None:
    """One row takes .8 s for a second of sound, two take 1.2 s."""
    s, text = scheduler(8), stream(6, 6, 6)
    join(s, text)
    counts, silent = heard(s, text, base=0.4, row=0.4)
    assert counts[:5] == [1, 2, 1, 1, 1], "two are tried, and are too many"
    assert max(counts) > 1, "there is time for more, once there is sound in hand"
    assert silent < 0.5


def test_where_not_even_one_row_keeps_up_all_are_made_together() -> None:
    s, text = scheduler(8), stream(6, 6, 6)
    join(s, text)
    counts, _ = heard(s, text, base=1.2, row=0.1)
    assert counts[:5] == [1, 2, 3, 3, 3]
    assert len(counts) < 12


def test_where_all_keep_up_all_are_made_together() -> None:
    s, text = scheduler(8), stream(6, 6, 6)
    join(s, text)
    counts, silent = heard(s, text, base=0.1, row=0.1)
    assert counts[:4] == [1, 2, 3, 3]
    assert silent == 0


def test_a_step_without_rows_tells_nothing_of_rows() -> None:
    burden = Burden(1.0)
    burden.stepped(0, 9.0)
    assert burden.bears(1)


def test_what_was_too_slow_once_is_tried_again() -> None:
    burden = Burden(1.0)
    burden.stepped(3, 1.5)
    looks = [burden.bears(3) for _ in range(50)]
    assert looks.count(True) == 50 - looks.index(True)
    assert 30 < looks.index(True) < 50
    assert burden.bears(4)


# Overload


def test_no_wait_is_predicted_while_a_slot_is_free() -> None:
    s = scheduler(2, max_waiting=0)
    s.measured(1.0)
    join(s, stream(5))
    s.admit(0.0)
    assert s.predicted_wait() == 0
    join(s, stream(5))


def test_past_so_many_who_wait_the_next_is_told_when_to_come_back() -> None:
    s = scheduler(2, max_waiting=1)
    s.measured(0.5)
    join(s, stream(8), stream(20))
    fill(s)
    for _ in range(2):
        for slot in s.rows(0.0):
            step(s, slot, 0.0)
    join(s, stream(7))
    with pytest.raises(Overloaded) as caught:
        s.join(stream(7))
    # One waits before: the second slot is free after the 18 patches that are left in it.
    assert caught.value.headers["Retry-After"] == "9"
    assert len(s.streams) == 3


def test_too_long_a_wait_is_refused_though_few_wait() -> None:
    s = scheduler(2, max_wait=4.0)
    s.measured(0.5)
    join(s, stream(8), stream(20))
    fill(s)
    join(s, stream(7))  # in 4.0 s
    with pytest.raises(Overloaded) as caught:
        s.check_room()
    assert caught.value.retry_after == 10


def test_the_wait_is_longer_where_a_step_carries_a_part_of_the_rows() -> None:
    s = scheduler(4, rows=2)
    s.measured(0.5)
    join(s, *(stream(10) for _ in range(4)))
    fill(s)
    assert s.predicted_wait() == pytest.approx(10 * 2 * 0.5)


def test_more_than_a_batch_of_waiting_takes_more_rounds() -> None:
    s = scheduler(2)
    s.measured(1.0)
    join(s, stream(4), stream(6))
    fill(s)
    waits = []
    for _ in range(5):
        waits.append(s.predicted_wait())
        join(s, stream(5))
    assert waits == [4, 6, 4 + 6, 6 + 6, 4 + 12]


def test_a_long_text_alone_is_never_too_much() -> None:
    s = scheduler(2, max_waiting=1, max_wait=1.0)
    s.measured(1.0)
    join(s, stream(*[5] * 500))


def test_the_rate_is_smoothed() -> None:
    s = scheduler(2)
    for seconds in (1.0, 2.0):
        s.measured(seconds)
    assert s.turn_seconds == pytest.approx(1.1)
