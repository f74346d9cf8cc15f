"""Limits of a segment: its length, the silence threshold, the remaining length."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from tests.support.jobs import (
    PATCH,
    RATE,
    Prepared,
    append_audio,
    concat,
    generate,
    job,
    silence,
    tone,
    trim,
)
from voxcpm_openai.contracts import Segment
from voxcpm_openai.runtime.engine.job import Job, JobState, LengthEstimate
from voxcpm_openai.runtime.engine.silence import SilenceTrimmer
from voxcpm_openai.runtime.engine.stream import BatchedStream

# Silence


@pytest.mark.parametrize(("level", "kept"), [(0.0031, 0), (0.0032, 500)])
def test_silence_ends_at_50_db_below_full_scale(level: float, kept: int) -> None:
    assert len(trim(SilenceTrimmer(RATE, 0.0), tone(500, level))) == kept


def test_the_pause_is_exact_when_the_sound_ends_inside_a_block() -> None:
    assert len(trim(SilenceTrimmer(RATE, 0.1), tone(105))) == 205


def test_silence_in_many_patches_is_trimmed_to_the_pause() -> None:
    samples = trim(SilenceTrimmer(RATE, 0.05), tone(100), *[silence(20)] * 10)
    np.testing.assert_array_equal(samples, concat(tone(100), silence(50)))


def test_silence_in_many_patches_before_more_sound_is_kept() -> None:
    parts = [tone(100), *[silence(20)] * 10, tone(100)]
    samples = trim(SilenceTrimmer(RATE, 0.05), *parts)
    np.testing.assert_array_equal(samples, concat(*parts, silence(50)))


# Length


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", 4), ("1234567890", 63), ("今天天气很好", 17), ("$+", 10), ("a word of 20 letters", 29)],
)
def test_the_expected_length_follows_the_characters(text: str, expected: int) -> None:
    """Seconds per character: a digit 0.5, a wide one 0.22, a sign 0.4, any other one 0.07."""
    assert LengthEstimate.of(text, 0.08, 10_000).expected_patches == expected


@pytest.mark.parametrize(("text", "maximum"), [("a", 28), ("1234567890", 182)])
def test_the_maximum_length_is_two_and_a_half_times_the_estimate_plus_two_seconds(
    text: str, maximum: int
) -> None:
    assert LengthEstimate.of(text, 0.08, 10_000).max_patches == maximum


def test_a_stop_in_the_first_three_patches_is_ignored() -> None:
    length = LengthEstimate.of("Hello there.", PATCH / RATE, 1_000)
    one = Job(0, Segment("Hello there."), Prepared(), length, RATE, root_seed=7)
    states = [append_audio(one, tone(PATCH), stopped=True) for _ in range(4)]
    assert states == [JobState.LIVE] * 3 + [JobState.DONE]


# Remaining length


def test_patches_in_flight_count_as_buffered() -> None:
    one = job()
    one.count_patch(False)
    one.count_patch(False)
    assert one.buffered_seconds == pytest.approx(0.2)
    one.append_audio(tone(PATCH))
    assert one.buffered_seconds == pytest.approx(0.2)


def test_the_remaining_length_is_at_least_what_is_buffered() -> None:
    one = job(expected_patches=2, max_patches=30)
    for _ in range(5):
        append_audio(one, tone(PATCH), stopped=False)
    assert one.remaining_seconds == pytest.approx(0.5)
    assert one.patches_left == 1


# Delivered audio


def test_a_patch_of_leading_silence_yields_no_empty_chunk() -> None:
    one = job()
    append_audio(one, silence(PATCH), stopped=False)
    assert one.pop_audio() == []


def test_a_single_buffered_chunk_is_not_copied() -> None:
    one, patch = job(), tone(PATCH)
    stream = BatchedStream([one], RATE, 0.0)
    append_audio(one, patch, stopped=False)
    stream.deliver(0.0)
    assert np.shares_memory(next(stream).samples, patch)


def test_nothing_is_delivered_after_close_not_even_a_peeked_chunk() -> None:
    jobs = [job(0), job(1)]
    stream = BatchedStream(jobs, RATE, 0.0)
    for one in jobs:
        generate(one, tone(PATCH), tone(PATCH))
    stream.deliver(0.0)
    assert next(stream).segment == 0  # the chunk of the next segment was peeked at
    stream.close()
    assert list(stream) == []


@pytest.mark.parametrize("closed", [False, True])
def test_a_stream_that_has_ended_stays_ended(closed: bool) -> None:
    one = job()
    stream = BatchedStream([one], RATE, 0.0)
    generate(one, tone(PATCH), tone(PATCH))
    stream.deliver(0.0)
    if closed:
        stream.close()
    else:
        assert len(list(stream)) == 1
    for _ in range(3):
        assert next(stream, None) is None


def test_audio_generated_after_close_is_not_kept() -> None:
    one, patches = job(), [tone(PATCH), tone(PATCH)]
    stream = BatchedStream([one], RATE, 0.0)
    stream.close()
    kept = weakref.ref(patches[0])
    while patches:
        append_audio(one, patches.pop(0), stopped=False)
        stream.deliver(0.0)
    assert kept() is None


def test_usage_is_never_zero() -> None:
    one = job()
    one.prepared = Prepared(tokens=0)
    assert (BatchedStream([one], RATE, 0.0).usage.input_tokens, one.patches) == (1, 0)
    assert BatchedStream([one], RATE, 0.0).usage.output_tokens == 1
