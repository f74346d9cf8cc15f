"""The scheduler knows the tempo at which each listener plays."""

from __future__ import annotations

import pytest

from tests.support.jobs import PATCH, RATE, append_audio, job, tone
from tests.support.scheduling import SECOND, Prepared, fill, join, scheduler, step
from voxcpm_openai.contracts import Segment
from voxcpm_openai.runtime.engine.job import Job, LengthEstimate
from voxcpm_openai.runtime.engine.stream import BatchedStream


def stream_at(tempo: float, *segments: int) -> BatchedStream:
    """Return a stream of segments with these expected lengths in seconds."""
    lengths = [LengthEstimate(1.0, 1, seconds, 99) for seconds in segments]
    jobs = [
        Job(index, Segment("word"), Prepared(), length, 100, root_seed=0)
        for index, length in enumerate(lengths)
    ]
    return BatchedStream(jobs, len(SECOND), 0.0, tempo)


@pytest.mark.parametrize(("tempo", "deadlines"), [(1.0, [5.1, 6.1]), (4.0, [5.025, 5.275])])
def test_a_segment_is_due_when_the_segments_before_it_are_played(
    tempo: float, deadlines: list[float]
) -> None:
    jobs = [job(0, expected_patches=11), job(1)]
    stream = BatchedStream(jobs, RATE, 5.0, tempo)
    append_audio(jobs[0], tone(PATCH), stopped=False)
    stream.deliver(5.0)
    assert [due for _, due in stream.deadlines()] == pytest.approx(deadlines)


def test_the_faster_listener_is_stepped_first_when_rows_are_limited() -> None:
    s = scheduler(4, rows=1)
    join(s, stream_at(1.0, 9), stream_at(4.0, 9))
    fill(s)
    for slot in (0, 1):
        step(s, slot, 0.0)
    assert s.rows(0.0) == [1]


@pytest.mark.parametrize(("seconds", "rows"), [(0.2, [0, 1]), (0.3, [0])])
def test_a_step_must_keep_up_with_the_fastest_listener(seconds: float, rows: list[int]) -> None:
    """At tempo 4, a second of audio plays in 0.25 s."""
    s = scheduler(4)
    join(s, stream_at(4.0, 9), stream_at(1.0, 9))
    fill(s)
    for _ in range(7):
        step(s, 0, 0.0)
        step(s, 1, 0.0)
    s.record_step(1, 0.1)
    s.record_step(2, seconds)
    # 1.25 s of audio is left for the fast listener, 6.5 s for the slow one.
    assert s.rows(0.5) == rows
