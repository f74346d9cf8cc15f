"""Rejected recordings: noise, clipping, no usable speech, files of other kinds."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from tests.support.clips import rejection
from tests.support.recordings import RATE, STOCK, at, encoded, noisy, recorded, stock, wav
from voxcpm_openai import Samples
from voxcpm_openai.voices.intake.clip import clean

NOISE = np.random.default_rng(1)
TIME = np.arange(6 * RATE) / RATE


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("ratio", [20, 10])
def test_some_noise_is_accepted(name: str, ratio: float) -> None:
    assert clean(wav(noisy(stock(name), ratio) / 2)).seconds > 4


def test_a_noisy_recording_is_rejected_with_the_measured_contrast() -> None:
    assert "are only 7 dB above the quiet ones" in rejection(wav(noisy(stock("marin"), 0) / 2))


@pytest.mark.parametrize("name", STOCK)
def test_more_noise_is_rejected(name: str) -> None:
    assert "No clear speech was found" in rejection(wav(noisy(stock(name), 5) / 2))


@pytest.mark.parametrize("name", STOCK)
def test_clipping_is_rejected_with_its_share(name: str) -> None:
    message = rejection(wav(np.clip(10 * stock(name), -1, 1)))
    assert "clipped: " in message
    assert 5 < float(message.partition("clipped: ")[2].partition("%")[0]) < 9
    assert "Lower the gain of the microphone" in message


@pytest.mark.parametrize("name", ["alloy", "fable", "onyx", "yunxi"])
@pytest.mark.parametrize("codec", ["mp3", "opus"])
def test_clipping_is_detected_after_a_lossy_codec_at_a_lower_volume(name: str, codec: str) -> None:
    sound = at(0.5 * np.clip(10 * stock(name), -1, 1), 48_000)
    file = {"mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus")}[codec]
    assert "clipped" in rejection(encoded(sound, 48_000, *file))


def chord() -> Samples:
    tones = [np.sin(2 * np.pi * f * h * TIME) / h for f in (220, 277, 330) for h in (1, 2, 3)]
    return (0.05 * sum(tones)).astype(np.float32)


def clicks() -> Samples:
    sound = np.zeros(6 * RATE, np.float32)
    sound[:: RATE // 2] = 0.8
    return sound


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (0.1 * NOISE.standard_normal(6 * RATE), "are only 0 dB above"),
        (0.1 * NOISE.standard_normal(6 * RATE) * (TIME % 0.5 < 0.3), "flatness is 0.5"),
        (0.3 * np.sin(2 * np.pi * 440 * TIME), "No clear speech was found"),
        (0.3 * np.sin(2 * np.pi * 50 * TIME), "No clear speech was found"),
        (chord(), "No clear speech was found"),
        (clicks(), "No clear speech was found"),
        (np.zeros(6 * RATE), "silent"),
        (np.full(6 * RATE, 0.4), "silent"),
        (1e-4 * NOISE.standard_normal(6 * RATE), "its loudest moment is 80 dB below full scale"),
        (stock()[RATE : RATE + RATE // 2], "0.5 s of audio; it must have at least 1 s"),
        (np.concatenate([stock()[RATE : RATE * 3 // 2], np.zeros(3 * RATE)]), "s of speech; it"),
        (np.tile(stock(), 11), "longer than 60 s"),
        (np.full(6 * RATE, np.nan), "not numbers"),
    ],
    ids=[
        *("noise", "bursts of noise", "tone", "hum", "chord", "clicks", "silence", "offset"),
        *("near silence", "too short", "little speech", "too long", "not numbers"),
    ],
)
def test_audio_without_usable_speech_is_rejected_with_the_reason(
    sound: Samples, message: str
) -> None:
    subtype = "FLOAT" if np.isnan(sound).any() else "PCM_16"
    assert message in rejection(wav(sound.astype(np.float32), subtype=subtype))


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("voice.wav", bytes(50_000_000))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty; accepted are mp3, wav"),
        (bytes(1000), "empty"),
        (archive(), "a ZIP archive"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "a text"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "a text"),
        (b"RIFF\x10\0\0\0AVI LIST", "a RIFF file without sound"),
        (b"\x01\x02\x03\x80 what is this", "begins with the bytes 01 02 03 80"),
        (bytes(10 * 2**20 + 1), "10.0 MiB; at most 10 MiB"),
        (recorded("mp4")[:3000], "damaged"),
        (b"OggS" + bytes(100), "damaged"),
        (b"RIFF\xff\xff\xff\xffWAVE", "damaged"),
        (b"\xff\xfb" + NOISE.bytes(50_000), "damaged"),
        (wav(at(stock(), 11_025), 6_000), "The sample rate is 6000 Hz. Record at 8000 to"),
        (wav(stock()[:, None] * np.ones((1, 8), np.float32)), "8 channels. Record in mono"),
    ],
)
def test_other_files_are_rejected_by_their_content(content: bytes, message: str) -> None:
    assert message in rejection(content)


def test_a_film_without_audio_is_rejected() -> None:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as sink:
        stream = sink.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        for _ in range(25):
            sink.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        sink.mux(stream.encode(None))
    assert "no audio stream" in rejection(file.getvalue())


def test_a_codec_that_is_not_on_the_list_is_not_run() -> None:
    content = encoded(at(stock(), 48_000), 48_000, "matroska", "ac3")
    assert "coded as ac3" in rejection(content)


def test_a_small_file_with_half_an_hour_of_audio_is_not_decoded() -> None:
    long = encoded(np.zeros(1800 * RATE, np.float32), RATE, "flac", "flac")
    assert len(long) < 2**19
    assert "longer than 60 s" in rejection(long)
