"""The stock voices' reference clips: clean, equally loud, with correct transcripts."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf

from tests.support import ROOT
from tests.support.recogniser import Recogniser, word_error_rate
from tests.support.speaker import embed
from tests.support.stock import load_plugin
from voxcpm_openai import Samples

VOICES = {voice.id: voice for voice in load_plugin("voice_folder").register_voices()}
ENGLISH = [
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
    *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
]
NAMES = [*ENGLISH, "xiaoxiao", "yunxi"]
RATE = 24_000
FRAME = RATE // 100

each_voice = pytest.mark.parametrize("name", NAMES)


def clip(name: str) -> Samples:
    samples, rate = sf.read(VOICES[name].audio, dtype="float32")
    assert rate == RATE
    return samples


def decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power + 1e-12)


def levels(samples: Samples) -> np.ndarray:
    """Return the level of each 10 ms, in dB."""
    return decibels(
        np.mean(samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME) ** 2, axis=1)
    )


@pytest.fixture(scope="module")
def recognised() -> dict[str, str]:
    """The recogniser's transcripts of the English clips."""
    recogniser = Recogniser()
    return {name: recogniser.words(clip(name), RATE) for name in ENGLISH}


def test_every_stock_voice_has_a_clip_and_every_clip_a_voice() -> None:
    assert sorted(VOICES) == NAMES
    assert sorted(path.stem for path in (ROOT / "voices").glob("*.flac")) == NAMES


@each_voice
def test_a_clip_is_five_to_eight_seconds_of_mono_at_24_khz_and_16_bits(name: str) -> None:
    info = sf.info(VOICES[name].audio)
    assert (info.format, info.subtype) == ("FLAC", "PCM_16")
    assert (info.samplerate, info.channels) == (RATE, 1)
    assert 5 <= info.duration <= 8


@each_voice
def test_the_edges_of_a_clip_are_short_and_silent(name: str) -> None:
    level = levels(clip(name))
    (loud,) = np.nonzero(level > level.max() - 40)
    silent = (loud[0] * 10, (len(level) - 1 - loud[-1]) * 10)  # ms
    assert 30 <= min(silent) <= max(silent) < 150
    assert max(level[0], level[-1]) < level.max() - 45


@each_voice
def test_clips_have_no_long_pauses(name: str) -> None:
    level = levels(clip(name))
    (loud,) = np.nonzero(level > level.max() - 40)
    assert np.diff(loud).max() * 10 < 600  # ms


@each_voice
def test_a_clip_does_not_come_near_clipping(name: str) -> None:
    assert 0.2 < np.abs(clip(name)).max() < 0.95


def test_all_clips_are_equally_loud() -> None:
    loudness = {name: float(decibels(np.mean(clip(name) ** 2))) for name in NAMES}
    assert max(loudness.values()) - min(loudness.values()) <= 0.5, loudness


@each_voice
def test_hiss_is_quieter_than_the_voice(name: str) -> None:
    samples = clip(name)
    power = np.abs(np.fft.rfft(samples)) ** 2
    high = np.fft.rfftfreq(len(samples), 1 / RATE) > 5_000
    assert decibels(power[high].sum() / power[~high].sum()) < -9


@each_voice
def test_a_voice_states_the_provenance_of_its_clip(name: str) -> None:
    voice = VOICES[name]
    assert voice.transcript.endswith((".", "。"))
    assert "Kokoro-82M v1.0 (Apache-2.0), voice " in voice.provenance
    assert voice.language == ("en" if name in ENGLISH else "zh")
    assert ("hibari" in voice.options) == (name in ENGLISH)


@pytest.mark.parametrize("name", ENGLISH)
def test_a_clip_matches_its_transcript(name: str, recognised: dict[str, str]) -> None:
    assert word_error_rate([VOICES[name].transcript], [recognised[name]]) <= 0.20, recognised[name]


def test_the_error_rate_over_all_clips_is_low(recognised: dict[str, str]) -> None:
    transcripts = [VOICES[name].transcript for name in ENGLISH]
    assert word_error_rate(transcripts, list(recognised.values())) <= 0.10


def test_every_speaker_is_recognised_by_either_half_of_the_clip() -> None:
    halves = [np.array_split(clip(name), 2) for name in NAMES]
    vectors = embed([first for first, _ in halves] + [second for _, second in halves], RATE)
    likeness = vectors[len(NAMES) :] @ vectors[: len(NAMES)].T  # (15, 15): second half by first
    for table in (likeness, likeness.T):
        assert [NAMES[best] for best in table.argmax(axis=1)] == NAMES
