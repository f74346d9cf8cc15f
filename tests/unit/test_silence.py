"""The silence trimmer: leading and trailing silence, and the pause after a segment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.jobs import RATE, concat, silence, tone, trim
from voxcpm_openai.runtime.engine.silence import SilenceTrimmer

LEAD = 30
"""Samples of silence that are kept at each end: 30 ms."""


def test_leading_silence_is_trimmed_to_30_ms() -> None:
    samples = trim(SilenceTrimmer(RATE, 0.0), silence(250), tone(100))
    np.testing.assert_array_equal(samples, concat(silence(LEAD), tone(100)))


def test_no_silence_is_added_before_audio_that_starts_at_once() -> None:
    np.testing.assert_array_equal(trim(SilenceTrimmer(RATE, 0.0), tone(100)), tone(100))


@pytest.mark.parametrize("trailing", [0, 40, 200, 900])
def test_trailing_silence_becomes_exactly_the_requested_pause(trailing: int) -> None:
    samples = trim(SilenceTrimmer(RATE, 0.2), tone(100), silence(trailing))
    np.testing.assert_array_equal(samples, concat(tone(100), silence(200)))


def test_without_a_pause_30_ms_of_trailing_silence_are_kept() -> None:
    samples = trim(SilenceTrimmer(RATE, 0.0), tone(100), silence(500))
    np.testing.assert_array_equal(samples, concat(tone(100), silence(LEAD)))


def test_silence_inside_a_segment_is_kept() -> None:
    parts = [tone(100), silence(700), tone(100)]
    np.testing.assert_array_equal(
        trim(SilenceTrimmer(RATE, 0.1), *parts), concat(*parts, silence(100))
    )


def test_silence_within_the_pause_is_returned_at_once() -> None:
    trimmer = SilenceTrimmer(RATE, 0.2)
    assert len(trimmer.feed(tone(100))) == 100
    assert len(trimmer.feed(silence(150))) == 150
    assert len(trimmer.feed(silence(150))) == 50
    assert len(trimmer.feed(tone(10))) == 110


def test_untrimmed_audio_is_not_copied() -> None:
    trimmer = SilenceTrimmer(RATE, 0.2)
    for patch in (tone(100), concat(tone(60), silence(40)), tone(100)):
        assert np.shares_memory(trimmer.feed(patch), patch)


def test_a_silent_segment_returns_no_samples_and_no_pause() -> None:
    trimmer = SilenceTrimmer(RATE, 0.5)
    assert len(trim(trimmer, silence(905))) == 0
    assert not trimmer.has_sound


def test_silence_is_measured_from_the_last_sound() -> None:
    trimmer = SilenceTrimmer(RATE, 0.0)
    trimmer.feed(silence(300))
    assert trimmer.silence == pytest.approx(0.3)
    trimmer.feed(concat(tone(50), silence(100)))
    assert trimmer.silence == pytest.approx(0.1)


def test_faint_noise_is_silence_and_a_faint_voice_is_not() -> None:
    assert len(trim(SilenceTrimmer(RATE, 0.0), tone(500, 0.002))) == 0
    assert len(trim(SilenceTrimmer(RATE, 0.0), tone(500, 0.01))) == 500


@given(
    parts=st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=12),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    pause=st.sampled_from([0.0, 0.02, 0.1]),
)
def test_the_output_does_not_depend_on_the_chunk_boundaries(
    parts: list[tuple[bool, int]], cuts: list[int], pause: float
) -> None:
    samples = concat(*(tone(n) if loud else silence(n) for loud, n in parts))
    chunks = np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))
    whole = trim(SilenceTrimmer(RATE, pause), samples)
    np.testing.assert_array_equal(trim(SilenceTrimmer(RATE, pause), *chunks), whole)
