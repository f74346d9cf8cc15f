"""The scheduler chooses the rows of a step by their deadlines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.scheduling import admitted, fill, join, scheduler, step, stream
from voxcpm_openai.runtime.engine.job import JobState


def test_all_rows_are_stepped_when_they_fit_in_a_step() -> None:
    s = scheduler(8, rows=3)
    join(s, *(stream(5) for _ in range(3)))
    fill(s)
    assert s.rows(0.0) == [0, 1, 2]


def test_the_stream_with_more_buffered_audio_waits() -> None:
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


def test_a_new_stream_is_due_at_its_arrival() -> None:
    s = scheduler(4, rows=2)
    join(s, stream(50), stream(50), stream(50))
    fill(s)
    for slot in range(3):
        step(s, slot, 0.0)
    join(s, stream(50, arrived=0.9))
    fill(s)
    assert s.rows(0.0)[-1] == 3


def test_a_new_stream_is_stepped_before_later_segments_admitted_earlier() -> None:
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


def test_later_segments_are_ordered_by_the_audio_before_them() -> None:
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


def test_an_old_underrun_does_not_delay_new_streams() -> None:
    s = scheduler(4, rows=1)
    join(s, stream(50))
    fill(s)
    for now in (0.0, 10.0, 20.0):  # ten seconds for one second of audio: always late
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
def test_jobs_with_the_earliest_deadlines_are_admitted_and_stepped(
    slots: int, rows: int, texts: list[tuple[list[int], bool]], stops: list[bool]
) -> None:
    s = scheduler(slots, rows=rows)
    join(s, *(stream(*expected_patches, one_speaker=one) for expected_patches, one in texts))
    for now, stopped in enumerate(stops):
        waiting = [one for one in s.streams if one.current.state is JobState.WAITING]
        ready = {
            job: due
            for one in s.streams
            for job, due in one.deadlines()
            if job.state is JobState.WAITING and (not job.after or job.after.state is JobState.DONE)
        }
        joined = admitted(s)
        if joined and not waiting:
            assert ready[joined[0]] == min(ready.values())
        assert s.waiting == sum(
            job.state is JobState.WAITING for one in s.streams for job in one.jobs
        )
        deadlines = {job: due for one in s.streams for job, due in one.deadlines()}
        stepped = {s.live[slot].job for slot in s.rows(0.0)}
        skipped = {row.job for row in s.live.values()} - stepped
        assert len(stepped) == min(rows, len(s.live))
        if skipped:
            assert max(deadlines[job] for job in stepped) <= min(deadlines[job] for job in skipped)
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
def test_no_stream_starves_while_new_ones_keep_arriving(
    slots: int, rows: int, step_seconds: float, row_seconds: float, texts: list[list[int]]
) -> None:
    s = scheduler(slots, rows=rows)
    watched = [stream(*expected_patches) for expected_patches in texts]
    join(s, *watched)
    now = 0.0
    for _ in range(2_000):
        s.admit(now)
        stepped = s.rows(now)
        duration = step_seconds + row_seconds * len(stepped)
        for slot in stepped:
            job = s.live[slot].job
            step(s, slot, now, stopped=job.patches + 1 >= job.length.expected_patches)
        s.record_step(len(stepped), duration)
        now += duration
        if len(s.streams) < len(watched) + 2 * slots:
            s.join(stream(2, arrived=now))
        if all(one.ended for one in watched):
            return
    pytest.fail(f"ended after {now} s: {[one.ended for one in watched]}")
