"""Options of a voice of the embedded engine: wrong ones are named, each one changes the audio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.hibari import synthesized, utterance
from voxcpm_openai import InvalidRequest, Voice
from voxcpm_openai.embedded import shape


def shaped(engine: Any, **options: object) -> np.ndarray:
    voice = Voice("shaped", "Shaped", options={"hibari": options})
    return synthesized(engine, "We were away all year long.", voice=voice)


def high_share(samples: np.ndarray, above: float) -> float:
    """Return the share of the energy that lies above a frequency."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(power[np.fft.rfftfreq(len(samples), 1 / 24_000) > above].sum() / power.sum())


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"pich": 0.8}, "options.hibari.pich: no such option; there are pitch, formant,"),
        ({"pitch": 0.2}, "options.hibari.pitch = 0.2: not a number from 0.4 to 2."),
        ({"formant": 1.2}, "options.hibari.formant = 1.2: not a number from 0.8 to 1.1."),
        ({"pace": "slow"}, "options.hibari.pace = 'slow': not a number from 0.6 to 1.6."),
        ({"gain": True}, "options.hibari.gain = True: not a number from -12 to 12."),
        ({"breath": float("nan")}, "options.hibari.breath = nan: not a number"),
    ],
)
def test_a_wrong_option_of_a_voice_is_named(engine: Any, options: Any, fault: str) -> None:
    voice = Voice("odd", "Odd", options={"hibari": options})
    with pytest.raises(InvalidRequest) as caught:
        engine.synthesize(utterance("Hello.", voice=voice))
    assert caught.value.message.startswith(f"Voice 'odd': {fault}")
    assert caught.value.param == "voice"
    assert engine.status().streams == 0


def test_retuning_scales_pitch_and_melody_of_voiced_frames_only() -> None:
    f0 = np.array([0, 100, 400, 0, 30], np.float32)
    voiced = f0 > 40
    assert shape.retune(f0, voiced, 0.5, 1.0) == pytest.approx([0, 50, 200, 0, 30])
    narrow = shape.retune(f0, voiced, 1.0, 0.5)
    assert narrow == pytest.approx([0, 200 / 2**0.5, 200 * 2**0.5, 0, 30])
    assert shape.retune(f0, voiced, 0.1, 1.0)[voiced].min() > 40


@pytest.mark.parametrize("pitch", [0.5, 0.7, 1.4])
def test_another_pitch_is_as_loud(engine: Any, pitch: float) -> None:
    level = np.sqrt(np.mean(shaped(engine, pitch=pitch) ** 2) / np.mean(shaped(engine) ** 2))
    assert abs(20 * np.log10(level)) < 3


def test_formants_colour_the_sound_and_leave_its_length(engine: Any) -> None:
    plain, dark = shaped(engine), shaped(engine, formant=0.82)
    assert len(dark) == pytest.approx(len(plain), rel=0.1)  # without care: 1 / 0.82
    assert high_share(dark, 2000) < 0.8 * high_share(plain, 2000)


@pytest.mark.parametrize("formant", [0.8, 0.84, 0.9])
def test_lower_formants_leave_no_hole_at_the_top(engine: Any, formant: float) -> None:
    """By resampling alone there is nothing above 12 kHz times the factor."""
    text = "She sees six ships, and such shells as these."
    voice = Voice("dark", "Dark", options={"hibari": {"formant": formant}})
    dark = high_share(synthesized(engine, text, voice=voice), 12_000 * formant + 200)
    plain = high_share(synthesized(engine, text), 12_000 * formant + 200)
    assert 0.1 * plain < dark < 3 * plain


def test_breath_is_noise_in_the_tone(engine: Any) -> None:
    once, again = (shaped(engine, breath=breath) for breath in (-10, 10))
    assert len(once) == pytest.approx(len(again), rel=0.05)
    assert high_share(again, 5000) > 1.5 * high_share(once, 5000)


def test_pace_and_gain_do_what_they_say(engine: Any) -> None:
    plain, slow = shaped(engine), shaped(engine, pace=0.7)
    assert len(plain) / len(slow) == pytest.approx(0.7, rel=0.08)
    louder = shaped(engine, gain=6)
    level = np.sqrt(np.mean(louder**2) / np.mean(plain**2))
    assert 20 * np.log10(level) == pytest.approx(6, abs=0.1)


def test_no_sample_reaches_full_scale(engine: Any) -> None:
    assert 0.9 < np.abs(shaped(engine, gain=12)).max() < 1
