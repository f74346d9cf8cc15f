"""A recording that somebody sends: what is accepted, what becomes of it, what is refused."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.recordings import FILES, RATE, VOICES, at, encoded, noisy, recorded, stock, wav
from voxcpm_openai import Samples
from voxcpm_openai.errors import InvalidRequest, Overloaded
from voxcpm_openai.voices import clip as clip_module
from voxcpm_openai.voices import decode
from voxcpm_openai.voices.clip import MAX_BYTES, clean
from voxcpm_openai.voices.fitness import CEILING, LEVEL

STOCK = sorted(path.stem for path in VOICES.glob("*.flac"))
NOISE = np.random.default_rng(1)
TIME = np.arange(6 * RATE) / RATE


def level(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def refused(content: bytes) -> str:
    """Return the message with which a file is refused."""
    with pytest.raises(InvalidRequest) as caught:
        clean(content, param="recording")
    assert (caught.value.status, caught.value.param) == (400, "recording")
    return caught.value.message


def likeness(one: Samples, other: Samples) -> float:
    """Return the correlation of two sounds, best over all shifts."""
    size = 2 * max(len(one), len(other))
    product = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    return float(np.fft.irfft(product).max() / np.linalg.norm(one) / np.linalg.norm(other))


# What is accepted, and what becomes of it


@pytest.mark.parametrize("name", STOCK)
def test_a_stock_clip_stays_what_it_is(name: str) -> None:
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


def test_a_clip_is_kept_as_flac_of_16_bits() -> None:
    clip = clean(recorded("mp3"))
    told = soundfile.info(io.BytesIO(clip.flac()))
    assert (told.format, told.subtype, told.channels) == ("FLAC", "PCM_16", 1)
    kept, rate = soundfile.read(io.BytesIO(clip.flac()), dtype="float32")
    assert rate == clip.rate
    assert np.abs(kept - clip.samples).max() <= 1 / 32768


@pytest.mark.parametrize(("rate", "kept"), [(8000, 8000), (44_100, 44_100), (96_000, 48_000)])
def test_the_rate_is_kept_up_to_48_khz(rate: int, kept: int) -> None:
    clip = clean(wav(at(stock(), rate), rate))
    assert clip.rate == kept
    assert clip.seconds == pytest.approx(len(stock()) / RATE, abs=0.1)
    assert likeness(clip.samples, at(stock(), kept)) > 0.99


def test_silence_around_the_speech_is_cut_off_and_a_little_stays() -> None:
    hush = 1e-4 * NOISE.standard_normal(2 * RATE)
    sound = np.concatenate([hush, stock(), hush]).astype(np.float32)
    clip = clean(wav(sound))
    assert clip.seconds == pytest.approx(len(stock()) / RATE, abs=0.25)
    before = np.argmax(np.abs(clip.samples) > 0.02) / RATE
    assert 0.05 < before < 0.3


def test_a_click_before_the_speech_is_cut_off_too() -> None:
    sound = np.concatenate([np.zeros(2 * RATE, np.float32), stock()])
    sound[RATE] = 0.9
    assert clean(wav(sound)).seconds == pytest.approx(len(stock()) / RATE, abs=0.2)


@pytest.mark.parametrize("gain", [0.05, 0.3, 2.0])
def test_all_clips_come_out_equally_loud(gain: float) -> None:
    clip = clean(wav(stock() * np.float32(gain), subtype="PCM_24"))
    assert level(clip.samples) == pytest.approx(LEVEL, abs=0.1)


def test_high_peaks_hold_the_level_down_and_are_not_cut() -> None:
    sound = 0.02 * stock()
    sound[RATE::RATE] = 0.5
    clip = clean(wav(sound.astype(np.float32), subtype="FLOAT"))
    assert np.abs(clip.samples).max() == pytest.approx(CEILING)
    assert level(clip.samples) < LEVEL - 3


def test_a_constant_offset_is_taken_out() -> None:
    clip = clean(wav(stock() + np.float32(0.3)))
    assert abs(np.mean(clip.samples)) < 1e-3
    assert level(clip.samples) == pytest.approx(LEVEL, abs=0.1)


@pytest.mark.parametrize("right", [0.0, -1.0])
def test_of_two_channels_the_louder_counts(right: float) -> None:
    both = np.stack([stock(), right * stock()], axis=1)
    assert likeness(clean(wav(both)).samples, stock()) > 0.999


def test_loud_float_samples_are_not_clipped_ones() -> None:
    assert clean(wav(stock() * 10, subtype="FLOAT")).seconds > 5


def test_a_minute_is_not_too_long_although_the_codec_adds_to_it() -> None:
    minute = np.tile(stock(), 11)[: 60 * RATE]
    assert clean(encoded(minute, RATE, "mp3", "libmp3lame")).seconds > 58


def test_a_file_cut_short_is_accepted_for_what_is_left() -> None:
    whole = recorded("mp3")
    assert clean(whole[: len(whole) // 2]).seconds == pytest.approx(2.8, abs=0.3)


def test_the_picture_in_a_tag_is_never_looked_at() -> None:
    tag = b"ID3\x04\0\0\0\0\x0f\x50" + b"APIC" + bytes(2000 - 4)
    assert clean(tag + recorded("flac")).rate == RATE


def test_a_consent_may_ask_for_more_speech() -> None:
    with pytest.raises(InvalidRequest, match=r"of sound; it must hold 8 s"):
        clean(wav(stock()), least=8)


# What is refused


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("ratio", [20, 10])
def test_some_noise_is_bearable(name: str, ratio: float) -> None:
    assert clean(wav(noisy(stock(name), ratio) / 2)).seconds > 4


def test_noise_is_told_with_what_was_measured() -> None:
    assert "No speech stands out: it is 7 dB" in refused(wav(noisy(stock("marin"), 0) / 2))


@pytest.mark.parametrize("name", STOCK)
def test_more_noise_is_not(name: str) -> None:
    assert "No speech stands out" in refused(wav(noisy(stock(name), 5) / 2))


@pytest.mark.parametrize("name", STOCK)
def test_clipping_is_told_with_its_share(name: str) -> None:
    message = refused(wav(np.clip(10 * stock(name), -1, 1)))
    assert "clipped: " in message
    assert 5 < float(message.partition("clipped: ")[2].partition("%")[0]) < 9
    assert "Turn the microphone down" in message


@pytest.mark.parametrize("name", ["alloy", "fable", "onyx", "yunxi"])
@pytest.mark.parametrize("codec", ["mp3", "opus"])
def test_clipping_is_seen_through_a_lossy_codec_and_a_lower_volume(name: str, codec: str) -> None:
    sound = at(0.5 * np.clip(10 * stock(name), -1, 1), 48_000)
    file = {"mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus")}[codec]
    assert "clipped" in refused(encoded(sound, 48_000, *file))


def chord() -> Samples:
    tones = [np.sin(2 * np.pi * f * h * TIME) / h for f in (220, 277, 330) for h in (1, 2, 3)]
    return (0.05 * sum(tones)).astype(np.float32)


def clicks() -> Samples:
    sound = np.zeros(6 * RATE, np.float32)
    sound[:: RATE // 2] = 0.8
    return sound


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        (0.1 * NOISE.standard_normal(6 * RATE), "it is 0 dB louder"),
        (0.1 * NOISE.standard_normal(6 * RATE) * (TIME % 0.5 < 0.3), "a flatness of 0.5"),
        (0.3 * np.sin(2 * np.pi * 440 * TIME), "No speech stands out"),
        (0.3 * np.sin(2 * np.pi * 50 * TIME), "No speech stands out"),
        (chord(), "No speech stands out"),
        (clicks(), "No speech stands out"),
        (np.zeros(6 * RATE), "silent"),
        (np.full(6 * RATE, 0.4), "silent"),
        (1e-4 * NOISE.standard_normal(6 * RATE), "its loudest moment is 80 dB below full scale"),
        (stock()[RATE : RATE + RATE // 2], "0.5 s of sound; it must hold 1 s"),
        (np.concatenate([stock()[RATE : RATE * 3 // 2], np.zeros(3 * RATE)]), "s of speech; it"),
        (np.tile(stock(), 11), "longer than 60 s"),
        (np.full(6 * RATE, np.nan), "not numbers"),
    ],
    ids=[
        *("noise", "bursts of noise", "tone", "hum", "chord", "clicks", "silence", "offset"),
        *("hush", "too short", "little speech", "too long", "not numbers"),
    ],
)
def test_what_is_no_speech_is_refused_with_what_was_found(sound: Samples, told: str) -> None:
    subtype = "FLOAT" if np.isnan(sound).any() else "PCM_16"
    assert told in refused(wav(sound.astype(np.float32), subtype=subtype))


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("voice.wav", bytes(50_000_000))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty; accepted are mp3, wav"),
        (bytes(1000), "empty"),
        (archive(), "a ZIP archive"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "a text"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "a text"),
        (b"RIFF\x10\0\0\0AVI LIST", "a RIFF file without sound"),
        (b"\x01\x02\x03\x80 what is this", "begins with the bytes 01 02 03 80"),
        (bytes(MAX_BYTES + 1), "10.0 MiB; at most 10 MiB"),
        (recorded("mp4")[:3000], "damaged"),
        (b"OggS" + bytes(100), "damaged"),
        (b"RIFF\xff\xff\xff\xffWAVE", "damaged"),
        (b"\xff\xfb" + NOISE.bytes(50_000), "damaged"),
        (wav(at(stock(), 11_025), 6_000), "The sample rate is 6000 Hz; record at 8000 to"),
        (wav(stock()[:, None] * np.ones((1, 8), np.float32)), "8 channels; record in mono"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_with_what_it_is(content: bytes, told: str) -> None:
    assert told in refused(content)


def test_a_film_without_sound_is_told() -> None:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as sink:
        stream = sink.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        for _ in range(25):
            sink.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        sink.mux(stream.encode(None))
    assert "no audio stream" in refused(file.getvalue())


def test_a_codec_that_nobody_records_with_is_not_run() -> None:
    content = encoded(at(stock(), 48_000), 48_000, "matroska", "ac3")
    assert "coded as ac3" in refused(content)


def test_a_small_file_that_holds_half_an_hour_is_not_unpacked() -> None:
    long = encoded(np.zeros(1800 * RATE, np.float32), RATE, "flac", "flac")
    assert len(long) < MAX_BYTES // 20
    assert "longer than 60 s" in refused(long)


# The process


def child(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    """Put a program in the decoder's place."""
    program = folder / "decode.py"
    program.write_text(source)
    monkeypatch.setattr(decode, "__file__", str(program))


def test_a_codec_that_crashes_is_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    child(monkeypatch, tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert f"stopped (by signal {signal.SIGSEGV:d})" in refused(recorded("mp3"))
    assert "the decoder of a mp3 file ended with -11" in caplog.text


def test_a_decoder_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, tmp_path, "import signal; signal.pause()")
    monkeypatch.setattr(clip_module, "DECODE_SECONDS", 0.2)
    assert "it took more than 0.2 s" in refused(recorded("mp3"))


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        ("bytearray(600 * 2**20)", "it wanted too much"),
        ("open('/dev/null')", "it wanted too much"),
        ("socket.socket()", "it wanted too much"),
        ("resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass", "it took too long"),
    ],
    ids=["memory", "file", "socket", "time"],
)
def test_the_limits_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, deed: str, told: str
) -> None:
    # The true program, but where it would decode.
    source = Path(decode.__file__).read_text(encoding="utf-8")
    before, mark, after = source.partition("    try:\n        sound = decode(sys.stdin")
    assert mark
    before = before.replace("import struct", "import socket\nimport struct")
    done = "\n".join(f"    {line}" for line in deed.splitlines())
    child(monkeypatch, tmp_path, f"{before}{done}\n{mark}{after}")
    assert told in refused(recorded("mp3"))


def test_the_decoder_sees_no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOXCPM_API_KEYS", "secret")
    child(
        monkeypatch,
        tmp_path,
        "import json, os, sys; sys.stdin.buffer.read()\n"
        "print(json.dumps({'refused': ' '.join(sorted(os.environ))}))",
    )
    assert "VOXCPM_API_KEYS" not in refused(recorded("mp3"))


def test_the_decoder_loads_neither_this_package_nor_numpy() -> None:
    script = (
        "import runpy, sys\n"
        f"runpy.run_path({decode.__file__!r})['_warm']()\n"
        "assert not {'numpy', 'voxcpm_openai'} & set(sys.modules)\n"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-P", "-c", script]) == 0


def test_few_files_are_decoded_at_a_time(
    monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    inside, most, lock = 0, 0, threading.Lock()
    decoded = clip_module._decoded

    def watched(content: bytes, container: str) -> tuple[Samples, int]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        try:
            return decoded(content, container)
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(clip_module, "_decoded", watched)
    clips = list(pool.map(clean, [recorded("mp3")] * 8))
    assert len(clips) == 8
    assert most <= clip_module.DECODERS


def test_who_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_module, "_turns", threading.Semaphore(0))
    monkeypatch.setattr(clip_module, "WAIT", 0.01)
    with pytest.raises(Overloaded) as caught:
        clean(recorded("mp3"))
    assert caught.value.status == 503
