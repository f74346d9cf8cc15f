"""Moving the pitch of a waveform, and synthesis in longer frames."""

from __future__ import annotations

import numpy as np
import pytest

from voxcpm_openai.embedded.frames import BINS, FILL, filled, waveform
from voxcpm_openai.embedded.repitch import overlapped, per_sample, pulses, repitch

FRAMES = 80
"""One second."""


def harmonics(f0: float, stretch: float = 1.0) -> np.ndarray:
    """Return a second (times ``stretch``) of a tone with a formant around 1 kHz."""
    time = np.arange(round(FRAMES * 300 * stretch)) / 24_000 / stretch
    tones = [
        np.exp(-(((n * f0 - 1000) / 400) ** 2)) * np.cos(2 * np.pi * n * f0 * time)
        for n in range(1, 20)
    ]
    return (0.1 * np.sum(tones, axis=0)).astype(np.float32)


def steady(f0: float) -> np.ndarray:
    return np.full(FRAMES, f0, np.float32)


def strongest(samples: np.ndarray) -> float:
    """Return the spacing of the harmonics in Hz, by autocorrelation."""
    middle = samples[4000:20_000].astype(np.float64)
    power = np.abs(np.fft.rfft(middle, 65_536)) ** 2
    likeness = np.fft.irfft(power)[60:500]
    return 24_000 / (60 + int(likeness.argmax()))


@pytest.mark.parametrize(("target", "stretch"), [(260.0, 1.0), (110.0, 1.0), (150.0, 1.2)])
def test_the_pitch_moves_and_the_formant_and_the_level_stay(target: float, stretch: float) -> None:
    plain = harmonics(200.0, stretch)
    moved = repitch(plain, steady(200.0), steady(target), stretch)
    assert len(moved) == len(plain)
    assert strongest(moved) == pytest.approx(target / stretch, rel=0.02)
    power = np.abs(np.fft.rfft(moved)) ** 2
    centre = (power * np.fft.rfftfreq(len(moved), 1 / 24_000)).sum() / power.sum()
    assert centre == pytest.approx(1000 / stretch, rel=0.08)
    level = 10 * np.log10(np.mean(moved**2) / np.mean(plain**2))
    assert abs(level) < 1.5


def test_the_same_pitch_changes_nothing() -> None:
    plain = harmonics(200.0)
    same = repitch(plain, steady(200.0), steady(200.0), 1.0)
    assert same[2000:-2000] == pytest.approx(plain[2000:-2000], abs=0.01)


def test_sound_without_a_tone_keeps_its_course_in_time() -> None:
    noise = np.random.default_rng(0).standard_normal(FRAMES * 300).astype(np.float32)
    noise[:12_000] *= 0.01
    same = repitch(noise, steady(0.0), steady(0.0), 1.0)
    assert same[500:-500] == pytest.approx(noise[500:-500], abs=0.1)


def test_pulses_lie_a_period_apart_and_evenly_where_there_is_no_tone() -> None:
    f0 = per_sample(steady(160.0))
    assert np.diff(pulses(f0, f0 > 60)) == pytest.approx(150)
    assert np.diff(pulses(f0, f0 > 200)) == pytest.approx(120)


def test_parts_may_reach_beyond_both_ends() -> None:
    ones = np.ones(100, np.float32)
    places = np.array([1.0, 99.0])
    out = overlapped(ones, places, np.array([0.0, 104.0]), np.array([40.0, 40.0]), np.ones(2))
    assert len(out) == 100
    assert np.isfinite(out).all()


def test_longer_frames_last_longer_and_lower_the_sound() -> None:
    spectra = np.zeros((BINS, 40), np.complex64)
    spectra[50] = np.exp(2j * np.pi * 50 / 4 * np.arange(40))  # 1 kHz at a hop of 300
    for hop in (300, 360):
        samples = waveform(spectra, hop)
        assert len(samples) == 40 * hop
        peak = np.abs(np.fft.rfft(samples)).argmax() * 24_000 / len(samples)
        assert peak == pytest.approx(1000 * 300 / hop, abs=5)


def test_bins_above_the_network_mirror_those_below() -> None:
    spectra = np.arange(BINS, dtype=np.complex64)[:, None] * (1 + 1j)
    more = filled(spectra, 603)
    assert np.array_equal(more[:601], spectra)
    assert more[601:, 0] == pytest.approx(FILL * np.array([599 - 599j, 598 - 598j]))
    assert np.array_equal(filled(spectra, 550), spectra[:550])
