"""Jobs, their edges, and the stream that hears them, without an engine."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxcpm_openai.contracts import Segment, Usage
from voxcpm_openai.errors import Unavailable
from voxcpm_openai.runtime.edges import EDGE, Edges
from voxcpm_openai.runtime.job import LEAST, RETRIES, Budget, Job, State, seed_of
from voxcpm_openai.runtime.stream import TOGETHER, Stream

RATE = 1_000
PATCH = 100
"""Samples: 0.1 s."""
LEAD = round(EDGE * RATE)
TIMEOUT = 20


@dataclass(frozen=True)
class Read:
    tokens: int = 3
    room: int = 1_000


def job(index: int = 0, *, pause: float = 0.0, most: int = 30, likely: int = 10) -> Job:
    budget = Budget(PATCH / RATE, 2, likely, most)
    return Job(index, Segment("word", pause), Read(), budget, RATE, root=7)


def tone(samples: int, level: float = 0.2) -> np.ndarray:
    return np.full(samples, level, np.float32)


def silence(samples: int) -> np.ndarray:
    return np.zeros(samples, np.float32)


def joined(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *parts])


def through(edges: Edges, *pieces: np.ndarray) -> np.ndarray:
    return joined(*(edges.feed(piece) for piece in pieces), edges.finish())


def grow(job: Job, patch: np.ndarray, *, stopped: bool) -> State:
    """Tell a job first what the model says of a patch, then its sound."""
    job.advance(stopped)
    return job.grow(patch)


def make(job: Job, *patches: np.ndarray) -> State:
    """Grow a job by patches, the last of which says stop."""
    state = State.LIVE
    for number, patch in enumerate(patches, 1):
        state = grow(job, patch, stopped=number == len(patches))
    job.state = state
    return state


# Edges


def test_silence_before_the_first_sound_is_cut_to_an_edge() -> None:
    heard = through(Edges(RATE, 0.0), silence(250), tone(100))
    np.testing.assert_array_equal(heard, joined(silence(LEAD), tone(100)))


def test_sound_from_the_first_sample_on_gets_nothing_before_it() -> None:
    np.testing.assert_array_equal(through(Edges(RATE, 0.0), tone(100)), tone(100))


@pytest.mark.parametrize("made", [0, 40, 200, 900])
def test_the_pause_at_the_end_is_what_was_asked_for_however_much_silence_was_made(
    made: int,
) -> None:
    heard = through(Edges(RATE, 0.2), tone(100), silence(made))
    np.testing.assert_array_equal(heard, joined(tone(100), silence(200)))


def test_without_a_pause_an_edge_of_the_silence_that_was_made_stays() -> None:
    heard = through(Edges(RATE, 0.0), tone(100), silence(500))
    np.testing.assert_array_equal(heard, joined(tone(100), silence(LEAD)))


def test_silence_amid_a_segment_stays_whole() -> None:
    parts = [tone(100), silence(700), tone(100)]
    np.testing.assert_array_equal(through(Edges(RATE, 0.1), *parts), joined(*parts, silence(100)))


def test_silence_that_is_surely_wanted_goes_out_at_once() -> None:
    edges = Edges(RATE, 0.2)
    assert len(edges.feed(tone(100))) == 100
    assert len(edges.feed(silence(150))) == 150
    assert len(edges.feed(silence(150))) == 50
    assert len(edges.feed(tone(10))) == 110


def test_sound_that_goes_out_whole_is_not_copied() -> None:
    edges = Edges(RATE, 0.2)
    for patch in (tone(100), joined(tone(60), silence(40)), tone(100)):
        assert np.shares_memory(edges.feed(patch), patch)


def test_a_segment_of_nothing_but_silence_gives_nothing_not_even_its_pause() -> None:
    edges = Edges(RATE, 0.5)
    assert len(through(edges, silence(905))) == 0
    assert not edges.spoken


def test_silence_is_counted_since_the_last_sound() -> None:
    edges = Edges(RATE, 0.0)
    edges.feed(silence(300))
    assert edges.silence == pytest.approx(0.3)
    edges.feed(joined(tone(50), silence(100)))
    assert edges.silence == pytest.approx(0.1)


def test_a_faint_hiss_is_silence_and_a_faint_voice_is_not() -> None:
    assert len(through(Edges(RATE, 0.0), tone(500, 0.002))) == 0
    assert len(through(Edges(RATE, 0.0), tone(500, 0.01))) == 500


@given(
    parts=st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=12),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    pause=st.sampled_from([0.0, 0.02, 0.1]),
)
def test_how_the_sound_is_cut_into_pieces_makes_no_difference(
    parts: list[tuple[bool, int]], cuts: list[int], pause: float
) -> None:
    samples = joined(*(tone(n) if loud else silence(n) for loud, n in parts))
    pieces = np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))
    whole = through(Edges(RATE, pause), samples)
    np.testing.assert_array_equal(through(Edges(RATE, pause), *pieces), whole)


# Budgets and seeds


def test_a_longer_text_may_take_longer_and_room_bounds_it() -> None:
    short, long = (Budget.of("Hello there. " * n, 0.16, 1_000) for n in (1, 10))
    assert LEAST <= short.likely < short.most
    assert long.likely > 5 * short.likely
    assert long.most > long.likely
    assert Budget.of("Hello there. " * 10, 0.16, 12).most == 12


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("The quick brown fox jumps over the lazy dog.", 2.5),
        ("今天天气很好，我们一起去公园散步吧。", 3.6),
        ("1234567890", 4.5),
        ("50 %", 1.0),
    ],
)
def test_a_budget_covers_a_slow_speaker_and_ends_soon_after(text: str, seconds: float) -> None:
    budget = Budget.of(text, 0.08, 10_000)
    assert seconds <= 0.08 * budget.most <= 4 * seconds + 2


def test_seeds_differ_by_root_segment_and_attempt_and_are_the_same_everywhere() -> None:
    seeds = {seed_of(root, i, k) for root in (0, 1, 2**63 - 1) for i in range(9) for k in range(3)}
    assert len(seeds) == 81
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(7, 0, 0) == 7_725_344_452_102_553_951


# Jobs


def test_a_stop_ends_a_job_and_what_was_made_is_ready() -> None:
    one = job(pause=0.1)
    assert grow(one, tone(PATCH), stopped=False) is State.LIVE
    assert one.held == pytest.approx(0.1)
    assert grow(one, tone(PATCH), stopped=True) is State.DONE
    assert one.patches == 2
    np.testing.assert_array_equal(joined(*one.take()), joined(tone(2 * PATCH), silence(100)))
    assert one.held == 0
    assert one.take() == []


def test_a_stop_before_the_least_does_not_count() -> None:
    one = job()
    assert grow(one, tone(PATCH), stopped=True) is State.LIVE


def test_what_goes_wrong_unheard_is_made_again_with_another_seed() -> None:
    one = job(most=3)
    seeds = [one.seed]
    for _ in range(RETRIES):
        assert grow(one, tone(PATCH), stopped=False) is State.LIVE
        assert grow(one, tone(PATCH), stopped=False) is State.LIVE
        assert grow(one, tone(PATCH), stopped=False) is State.WAITING
        assert (one.patches, one.held, one.take()) == (0, 0, [])
        seeds.append(one.seed)
    assert seeds == [seed_of(7, 0, attempt) for attempt in range(RETRIES + 1)]


def test_the_last_attempt_is_taken_as_it_is() -> None:
    one = job(most=3)
    one.retries = 0
    assert [grow(one, tone(PATCH), stopped=False) for _ in range(3)][-1] is State.DONE
    assert len(joined(*one.take())) == 3 * PATCH


def test_a_stop_at_the_very_end_of_the_budget_is_no_fault() -> None:
    one = job(most=3)
    assert make(one, tone(PATCH), tone(PATCH), tone(PATCH)) is State.DONE


def test_what_is_partly_heard_ends_at_its_budget() -> None:
    one = job(most=4)
    grow(one, tone(PATCH), stopped=False)
    first = one.take()
    assert [grow(one, tone(PATCH), stopped=False) for _ in range(3)] == [
        State.LIVE,
        State.LIVE,
        State.DONE,
    ]
    assert len(joined(*first, *one.take())) == 4 * PATCH
    assert one.retries == RETRIES


@pytest.mark.parametrize("spoken", [0, 3])
def test_dead_air_is_made_again_unless_it_is_heard(spoken: int) -> None:
    one, heard = job(), job()
    for patch in [tone(PATCH)] * spoken:
        grow(one, patch, stopped=False)
    grow(heard, tone(PATCH), stopped=False)
    heard.take()
    states = [grow(one, silence(PATCH), stopped=False) for _ in range(21)]
    assert states == [State.LIVE] * 20 + [State.WAITING]
    assert {grow(heard, silence(PATCH), stopped=False) for _ in range(21)} == {State.LIVE}


def test_a_stop_without_any_sound_is_made_again() -> None:
    one = job()
    assert make(one, *[silence(PATCH)] * 3) is State.WAITING


def test_what_is_left_is_likely_until_it_is_known() -> None:
    one = job(likely=10)
    assert one.left == pytest.approx(1.0)
    grow(one, tone(PATCH), stopped=False)
    assert (one.left, one.patches_left) == (pytest.approx(1.0), 9)
    one.take()
    assert one.left == pytest.approx(0.9)
    one.state = grow(one, tone(PATCH), stopped=True)
    assert one.left == pytest.approx(0.1)


# Streams


def test_segments_made_in_any_order_are_heard_in_theirs() -> None:
    jobs = [job(0, pause=0.1), job(1), job(2)]
    stream = Stream(jobs, RATE, 0.0)
    make(jobs[2], tone(PATCH, 0.3), tone(PATCH, 0.3))
    stream.flow(1.0)
    make(jobs[1], tone(PATCH, 0.2), tone(PATCH, 0.2))
    stream.flow(2.0)
    assert not stream.ended
    make(jobs[0], tone(PATCH, 0.1), tone(PATCH, 0.1))
    stream.flow(3.0)
    assert stream.ended
    chunks = list(stream)
    assert [chunk.segment for chunk in chunks] == [0, 1, 2]
    np.testing.assert_array_equal(
        joined(*(chunk.samples for chunk in chunks)),
        joined(tone(200, 0.1), silence(100), tone(200, 0.2), tone(200, 0.3)),
    )


def test_the_segment_in_turn_flows_while_it_is_made_and_those_behind_are_held() -> None:
    jobs = [job(0), job(1)]
    stream = Stream(jobs, RATE, 0.0)
    for one in jobs:
        grow(one, tone(PATCH), stopped=False)
    stream.flow(0.0)
    assert next(stream).segment == 0
    assert (jobs[0].held, jobs[1].held) == (0, pytest.approx(0.1))
    make(jobs[0], tone(PATCH))
    stream.flow(0.0)
    assert [next(stream).segment, next(stream).segment] == [0, 1]


def test_what_waits_of_a_segment_comes_together_up_to_a_bound() -> None:
    jobs = [job(0), job(1)]
    stream = Stream(jobs, RATE, 0.0)
    grow(jobs[0], tone(PATCH), stopped=False)
    stream.flow(0.0)
    assert len(next(stream).samples) == PATCH  # who waits waits for no more
    make(jobs[0], *[tone(PATCH, 0.1 + 0.02 * number) for number in range(8)])
    make(jobs[1], tone(PATCH), tone(PATCH))
    stream.flow(0.0)
    chunks = list(stream)
    bound = round(TOGETHER * RATE)
    assert [len(chunk.samples) for chunk in chunks] == [bound, 8 * PATCH - bound, 2 * PATCH]
    assert [chunk.segment for chunk in chunks] == [0, 0, 1]
    heard = joined(*(chunk.samples for chunk in chunks))
    made = joined(*(tone(PATCH, 0.1 + 0.02 * number) for number in range(8)), tone(2 * PATCH))
    np.testing.assert_array_equal(heard, made)


def test_the_listener_runs_dry_when_all_is_heard_and_plays_on_when_sound_comes() -> None:
    one = job()
    stream = Stream([one], RATE, 5.0)
    assert stream.dry_at == 5.0
    grow(one, tone(PATCH), stopped=False)
    stream.flow(6.0)
    grow(one, tone(PATCH), stopped=False)
    stream.flow(6.01)
    assert stream.dry_at == pytest.approx(6.2)
    grow(one, tone(PATCH), stopped=False)
    stream.flow(9.0)
    assert stream.dry_at == pytest.approx(9.1)


def test_a_segment_is_due_when_all_before_it_is_heard() -> None:
    jobs = [job(0, likely=10), job(1, likely=20), job(2)]
    stream = Stream(jobs, RATE, 5.0)
    assert [due for _, due in stream.dues()] == pytest.approx([5.0, 6.0, 8.0])
    grow(jobs[1], tone(PATCH), stopped=False)
    assert [due for _, due in stream.dues()] == pytest.approx([5.0, 6.1, 8.0])
    grow(jobs[0], tone(PATCH), stopped=False)
    stream.flow(5.0)
    assert [due for _, due in stream.dues()] == pytest.approx([5.1, 6.1, 8.0])
    make(jobs[0], tone(PATCH))
    stream.flow(5.0)  # the first was shorter than was likely; what is held of the second flows
    assert [one.index for one, _ in stream.dues()] == [1, 2]
    assert [due for _, due in stream.dues()] == pytest.approx([5.3, 7.2])


def test_close_wakes_a_waiting_next_and_drops_what_nobody_hears() -> None:
    one = job()
    stream = Stream([one], RATE, 0.0)
    begun = threading.Event()

    def hear() -> list[object]:
        begun.set()
        return list(stream)

    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(hear)
        assert begun.wait(TIMEOUT)
        stream.close()
        assert heard.result(TIMEOUT) == []
    grow(one, tone(PATCH), stopped=False)
    stream.flow(0.0)
    stream.close()
    assert list(stream) == []


def test_close_frees_what_is_unheard() -> None:
    one = job()
    stream = Stream([one], RATE, 0.0)
    patches = [tone(PATCH), tone(PATCH)]
    unheard = weakref.ref(patches[0])
    while patches:
        grow(one, patches.pop(0), stopped=False)
    stream.flow(0.0)
    assert unheard() is not None
    stream.close()
    assert unheard() is None


def test_an_error_is_raised_after_what_came_before_it_and_the_first_one_stays() -> None:
    one = job()
    stream = Stream([one], RATE, 0.0)
    grow(one, tone(PATCH), stopped=False)
    stream.flow(0.0)
    first = Unavailable("first")
    stream.fail(first)
    stream.fail(Unavailable("second"))
    next(stream)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            next(stream)
        assert caught.value is first
    stream.close()
    assert list(stream) == []


def test_usage_counts_tokens_and_the_patches_of_what_is_heard() -> None:
    jobs = [job(0), job(1, most=3)]
    stream = Stream(jobs, RATE, 0.0)
    assert stream.usage == Usage(6, 1)
    for _ in range(3):
        grow(jobs[1], tone(PATCH), stopped=False)  # made again
    make(jobs[0], tone(PATCH), tone(PATCH))
    make(jobs[1], tone(PATCH), tone(PATCH), tone(PATCH))
    assert stream.usage == Usage(6, 5)
