"""Accepted recordings: their containers, and how a clip is normalized."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from tests.support.recordings import FILES, RATE, STOCK, VOICES, at, encoded, recorded, stock, wav
from voxcpm_openai import Samples
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.voices.intake.clip import clean

LEVEL = -26.0
"""dBFS: the loudness of all clips."""
NOISE = np.random.default_rng(1)


def level(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def likeness(one: Samples, other: Samples) -> float:
    """Return the highest correlation of two signals over all shifts."""
    size = 2 * max(len(one), len(other))
    product = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    return float(np.fft.irfft(product).max() / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("name", STOCK)
def test_a_stock_clip_is_unchanged(name: str) -> None:
    clip = clean((VOICES / f"{name}.flac").read_bytes())
    before = stock(name)
    assert clip.rate == RATE
    assert len(before) - len(clip.samples) < 0.06 * RATE  # a soft end, at most
    assert likeness(clip.samples, before) > 0.999
    assert level(clip.samples) == pytest.approx(level(before), abs=0.2)


@pytest.mark.parametrize("kind", FILES)
def test_every_container_is_decoded_at_its_own_rate(kind: str) -> None:
    rate = FILES[kind][2]
    clip = clean(recorded(kind))
    assert clip.rate == rate
    assert clip.samples.dtype == np.float32
    assert clip.seconds == pytest.approx(len(stock()) / RATE, abs=0.1)
    assert likeness(clip.samples, at(stock(), rate)) > 0.97
    assert level(clip.samples) == pytest.approx(LEVEL, abs=0.1)


def test_a_clip_is_stored_as_16_bit_flac() -> None:
    clip = clean(recorded("mp3"))
    info = soundfile.info(io.BytesIO(clip.flac()))
    assert (info.format, info.subtype, info.channels) == ("FLAC", "PCM_16", 1)
    stored, rate = soundfile.read(io.BytesIO(clip.flac()), dtype="float32")
    assert rate == clip.rate
    assert np.abs(stored - clip.samples).max() <= 1 / 32768


@pytest.mark.parametrize(("rate", "kept"), [(8000, 8000), (44_100, 44_100), (96_000, 48_000)])
def test_the_rate_is_kept_up_to_48_khz(rate: int, kept: int) -> None:
    clip = clean(wav(at(stock(), rate), rate))
    assert clip.rate == kept
    assert clip.seconds == pytest.approx(len(stock()) / RATE, abs=0.1)
    assert likeness(clip.samples, at(stock(), kept)) > 0.99


def test_silence_around_the_speech_is_trimmed_to_a_short_edge() -> None:
    silence = 1e-4 * NOISE.standard_normal(2 * RATE)
    sound = np.concatenate([silence, stock(), silence]).astype(np.float32)
    clip = clean(wav(sound))
    assert clip.seconds == pytest.approx(len(stock()) / RATE, abs=0.25)
    before = np.argmax(np.abs(clip.samples) > 0.02) / RATE
    assert 0.05 < before < 0.3


def test_a_click_before_the_speech_is_trimmed() -> None:
    sound = np.concatenate([np.zeros(2 * RATE, np.float32), stock()])
    sound[RATE] = 0.9
    assert clean(wav(sound)).seconds == pytest.approx(len(stock()) / RATE, abs=0.2)


@pytest.mark.parametrize("gain", [0.05, 0.3, 2.0])
def test_all_clips_get_the_same_level(gain: float) -> None:
    clip = clean(wav(stock() * np.float32(gain), subtype="PCM_24"))
    assert level(clip.samples) == pytest.approx(LEVEL, abs=0.1)


def test_high_peaks_lower_the_level_and_are_not_clipped() -> None:
    sound = 0.02 * stock()
    sound[RATE::RATE] = 0.5
    clip = clean(wav(sound.astype(np.float32), subtype="FLOAT"))
    assert np.abs(clip.samples).max() == pytest.approx(0.95)
    assert level(clip.samples) < LEVEL - 3


def test_a_constant_offset_is_removed() -> None:
    clip = clean(wav(stock() + np.float32(0.3)))
    assert abs(np.mean(clip.samples)) < 1e-3
    assert level(clip.samples) == pytest.approx(LEVEL, abs=0.1)


@pytest.mark.parametrize("right", [0.0, -1.0])
def test_the_louder_of_two_channels_is_used(right: float) -> None:
    both = np.stack([stock(), right * stock()], axis=1)
    assert likeness(clean(wav(both)).samples, stock()) > 0.999


def test_loud_float_samples_do_not_count_as_clipped() -> None:
    assert clean(wav(stock() * 10, subtype="FLOAT")).seconds > 5


def test_a_minute_is_accepted_with_the_padding_of_its_codec() -> None:
    minute = np.tile(stock(), 11)[: 60 * RATE]
    assert clean(encoded(minute, RATE, "mp3", "libmp3lame")).seconds > 58


def test_a_truncated_file_is_accepted() -> None:
    whole = recorded("mp3")
    assert clean(whole[: len(whole) // 2]).seconds == pytest.approx(2.8, abs=0.3)


def test_a_picture_in_a_tag_is_skipped() -> None:
    tag = b"ID3\x04\0\0\0\0\x0f\x50" + b"APIC" + bytes(2000 - 4)
    assert clean(tag + recorded("flac")).rate == RATE


def test_a_longer_recording_can_be_required() -> None:
    with pytest.raises(InvalidRequest, match=r"of audio; it must have at least 8 s"):
        clean(wav(stock()), min_speech=8)
