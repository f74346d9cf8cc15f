"""The scheduler steps only as many rows together as keep up with playback."""

from __future__ import annotations

import pytest

from tests.support.scheduling import fill, join, scheduler, step, stream
from voxcpm_openai.runtime.engine.scheduler import Scheduler
from voxcpm_openai.runtime.engine.stream import BatchedStream
from voxcpm_openai.runtime.engine.timing import StepCostModel


def simulate(
    s: Scheduler, text: BatchedStream, *, base: float, row: float
) -> tuple[list[int], float]:
    """Synthesize a text with steps of ``base + row * rows`` seconds.

    Return the number of rows of each step, and the seconds of underrun.
    """
    now, counts, underrun = 0.0, [], 0.0
    while not text.ended:
        s.admit(now)
        rows = s.rows(now)
        duration = base + row * len(rows)
        now += duration
        started = text.current.patches > 0 or text.current.index > 0
        underrun += max(0.0, now - text.clock.deadline) if started else 0.0
        for slot in rows:
            job = s.live[slot].job
            step(s, slot, now, stopped=job.patches + 1 >= job.length.expected_patches)
        s.record_step(len(rows), duration)
        counts.append(len(rows))
    return counts, underrun


def test_later_segments_do_not_interrupt_the_current_one() -> None:
    """A step of one row takes 0.8 s for a second of audio, a step of two takes 1.2 s."""
    s, text = scheduler(8), stream(6, 6, 6)
    join(s, text)
    counts, underrun = simulate(s, text, base=0.4, row=0.4)
    assert counts[:5] == [1] * 5, "two are not tried before audio is buffered for it"
    assert max(counts) == 2, "more rows are stepped once it is"
    assert underrun == 0


def test_all_rows_are_stepped_together_when_no_number_of_them_keeps_up() -> None:
    s, text = scheduler(8), stream(6, 6, 6)
    join(s, text)
    counts, _ = simulate(s, text, base=1.2, row=0.8)
    assert counts[:5] == [1, 2, 3, 3, 3]
    assert len(counts) < 12


def test_the_fewest_rows_that_keep_up_together_are_stepped_where_one_does_not() -> None:
    """Two rows take 1.7 s for two seconds of audio: only the first segment is interrupted."""
    s, text = scheduler(8), stream(6, 6, 6, 6)
    join(s, text)
    counts, underrun = simulate(s, text, base=1.1, row=0.3)
    assert counts[:6] == [1, 2, 2, 2, 2, 2]
    assert underrun == pytest.approx(5 * 0.7)


def test_one_slow_step_of_several_changes_nothing() -> None:
    costs = StepCostModel()
    for seconds in (0.8, 1.5, 0.8, 0.8):
        costs.record(1, seconds)
        assert costs.keeps_up(1, 1.2)
    for _ in range(3):
        costs.record(1, 1.5)
    assert not costs.keeps_up(1, 1.2), "but most of the last five do"


def test_whether_a_number_of_rows_fits_depends_on_that_number_only() -> None:
    costs = StepCostModel()
    costs.record(1, 1.5)
    assert costs.fits(2, 2.0), "it is unknown"
    costs.record(2, 2.1)
    assert not costs.fits(1, 1.0)
    assert not costs.fits(2, 2.0)
    assert costs.fits(2, 2.2)
    assert any(costs.fits(2, 2.0) for _ in range(10)), "it is tried again later"


def test_all_rows_are_stepped_together_when_all_keep_up() -> None:
    s, text = scheduler(8), stream(6, 6, 6)
    join(s, text)
    counts, underrun = simulate(s, text, base=0.1, row=0.1)
    assert counts[:4] == [1, 2, 3, 3]
    assert underrun == 0


def test_later_segments_go_on_while_others_wait_for_a_slot() -> None:
    """Their slots would be free no sooner without."""
    s, text = scheduler(4), stream(6, 6, 6)
    join(s, text)
    fill(s)
    s.record_step(3, 0.3)
    join(s, stream(6), stream(6))
    s.admit(0.1)
    for slot in (0, 0, 3, 3):
        step(s, slot, 0.1)
    assert s.waiting == 1
    assert s.rows(0.2) == [0, 1, 2, 3]
    assert s.rows(1.9) == [0, 3], "but not while a listener would hear it"


def test_a_step_of_more_rows_takes_no_more_than_its_share() -> None:
    costs = StepCostModel()
    assert costs.at_most(3) == 0.0, "nothing is known"
    costs.record(2, 0.4)
    assert [costs.at_most(rows) for rows in (1, 2, 4)] == [0.4, 0.4, 0.8]
    costs.record(4, 0.5)
    assert [costs.at_most(rows) for rows in (2, 3, 8)] == pytest.approx([0.4, 0.5, 1.0])
    for _ in range(100):
        costs.keeps_up(4, 0.1)
    assert costs.at_most(4) == 0.5, "it does not fade as the costs that forbid more rows do"


def test_the_time_of_a_step_without_rows_is_ignored() -> None:
    costs = StepCostModel()
    costs.record(0, 9.0)
    assert costs.keeps_up(1, 1.0)


def test_a_row_count_that_was_too_slow_is_tried_again_later() -> None:
    costs = StepCostModel()
    costs.record(3, 1.5)
    results = [costs.keeps_up(3, 1.0) for _ in range(50)]
    assert results.count(True) == 50 - results.index(True)
    assert 30 < results.index(True) < 50
    assert costs.keeps_up(4, 1.0)
