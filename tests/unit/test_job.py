"""A job: its length estimate and seeds, retries, and the remaining length."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.jobs import PATCH, append_audio, concat, generate, job, silence, tone
from voxcpm_openai.runtime.engine.job import JobState, LengthEstimate, seed_of

# Length estimates and seeds


def test_the_length_estimate_grows_with_the_text_up_to_the_slot_capacity() -> None:
    short, long = (LengthEstimate.of("Hello there. " * n, 0.16, 1_000) for n in (1, 10))
    assert 4 <= short.expected_patches < short.max_patches
    assert long.expected_patches > 5 * short.expected_patches
    assert long.max_patches > long.expected_patches
    assert LengthEstimate.of("Hello there. " * 10, 0.16, 12).max_patches == 12


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("The quick brown fox jumps over the lazy dog.", 2.5),
        ("今天天气很好，我们一起去公园散步吧。", 3.6),
        ("1234567890", 4.5),
        ("50 %", 1.0),
    ],
)
def test_the_maximum_length_covers_slow_speech_and_is_bounded(text: str, seconds: float) -> None:
    length = LengthEstimate.of(text, 0.08, 10_000)
    assert seconds <= 0.08 * length.max_patches <= 4 * seconds + 2


def test_seeds_differ_by_root_segment_and_attempt_and_are_reproducible() -> None:
    seeds = {
        seed_of(root_seed, i, k)
        for root_seed in (0, 1, 2**63 - 1)
        for i in range(9)
        for k in range(3)
    }
    assert len(seeds) == 81
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(7, 0, 0) == 7_725_344_452_102_553_951


# Attempts


def test_a_stop_ends_a_job_and_its_audio_is_ready() -> None:
    one = job(pause=0.1)
    assert append_audio(one, tone(PATCH), stopped=False) is JobState.LIVE
    assert one.buffered_seconds == pytest.approx(0.1)
    assert append_audio(one, tone(PATCH), stopped=True) is JobState.DONE
    assert one.patches == 2
    np.testing.assert_array_equal(concat(*one.pop_audio()), concat(tone(2 * PATCH), silence(100)))
    assert one.buffered_seconds == 0
    assert one.pop_audio() == []


def test_a_stop_before_the_minimum_length_is_ignored() -> None:
    one = job()
    assert append_audio(one, tone(PATCH), stopped=True) is JobState.LIVE


def test_a_failed_attempt_is_retried_with_another_seed() -> None:
    one = job(max_patches=3)
    seeds = [one.seed]
    for _ in range(2):
        assert append_audio(one, tone(PATCH), stopped=False) is JobState.LIVE
        assert append_audio(one, tone(PATCH), stopped=False) is JobState.LIVE
        assert append_audio(one, tone(PATCH), stopped=False) is JobState.WAITING
        assert (one.patches, one.buffered_seconds, one.pop_audio()) == (0, 0, [])
        seeds.append(one.seed)
    assert seeds == [seed_of(7, 0, attempt) for attempt in range(3)]


def test_the_last_attempt_is_accepted_without_a_stop() -> None:
    one = job(max_patches=3)
    one.retries = 0
    assert [append_audio(one, tone(PATCH), stopped=False) for _ in range(3)][-1] is JobState.DONE
    assert len(concat(*one.pop_audio())) == 3 * PATCH


def test_a_stop_at_the_maximum_length_is_not_a_failure() -> None:
    one = job(max_patches=3)
    assert generate(one, tone(PATCH), tone(PATCH), tone(PATCH)) is JobState.DONE


def test_a_partly_delivered_job_ends_at_its_maximum_length() -> None:
    one = job(max_patches=4)
    append_audio(one, tone(PATCH), stopped=False)
    first = one.pop_audio()
    assert [append_audio(one, tone(PATCH), stopped=False) for _ in range(3)] == [
        JobState.LIVE,
        JobState.LIVE,
        JobState.DONE,
    ]
    assert len(concat(*first, *one.pop_audio())) == 4 * PATCH
    assert one.retries == 2


@pytest.mark.parametrize("patches_of_sound", [0, 3])
def test_long_silence_causes_a_retry_unless_audio_was_delivered(patches_of_sound: int) -> None:
    one, delivered = job(), job()
    for patch in [tone(PATCH)] * patches_of_sound:
        append_audio(one, patch, stopped=False)
    append_audio(delivered, tone(PATCH), stopped=False)
    delivered.pop_audio()
    states = [append_audio(one, silence(PATCH), stopped=False) for _ in range(21)]
    assert states == [JobState.LIVE] * 20 + [JobState.WAITING]
    assert {append_audio(delivered, silence(PATCH), stopped=False) for _ in range(21)} == {
        JobState.LIVE
    }


def test_a_stop_without_any_sound_causes_a_retry() -> None:
    one = job()
    assert generate(one, *[silence(PATCH)] * 3) is JobState.WAITING


def test_the_remaining_length_is_an_estimate_until_the_job_stops() -> None:
    one = job(expected_patches=10)
    assert one.remaining_seconds == pytest.approx(1.0)
    append_audio(one, tone(PATCH), stopped=False)
    assert (one.remaining_seconds, one.patches_left) == (pytest.approx(1.0), 9)
    one.pop_audio()
    assert one.remaining_seconds == pytest.approx(0.9)
    one.state = append_audio(one, tone(PATCH), stopped=True)
    assert one.remaining_seconds == pytest.approx(0.1)
