"""The stock formats: the structure of their bytes, their latency, and their decoded audio."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import ROOT
from voxcpm_openai import AudioFormat, Samples

PLUGIN = ROOT / "plugins" / "av_encoders.py"
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
CHUNK_S = 0.16


def _load_formats() -> dict[str, AudioFormat]:
    spec = importlib.util.spec_from_file_location("av_encoders_under_test", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return {made.name: made for made in module.register_encoders()}


FORMATS = _load_formats()
NAMES = ("mp3", "opus", "aac", "flac", "wav", "pcm")
LOSSLESS = ("flac", "wav", "pcm")
LOSSY = ("mp3", "opus", "aac")
EVERY_RATE = [(n, r) for n in NAMES for r in RATES if n != "opus" or r == 48000]


def _noise(rate: int, seconds: float) -> Samples:
    rng = np.random.default_rng(7)
    return rng.uniform(-0.5, 0.5, round(rate * seconds)).astype(np.float32)


def _tone(rate: int, seconds: float, hz: float = 440.0) -> Samples:
    at = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def _encode(name: str, rate: int, *chunks: Samples) -> bytes:
    encoder = FORMATS[name].open(rate)
    try:
        return b"".join([*(encoder.feed(chunk) for chunk in chunks), encoder.finish()])
    finally:
        encoder.close()


def _decode(name: str, body: bytes) -> Samples:
    """Decode as a player does: int16 is divided by 32768."""
    if name == "pcm":
        return np.frombuffer(body, "<i2").astype(np.float32) / 32768
    decoded = [np.zeros(0, np.float32)]
    with av.open(io.BytesIO(body)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().ravel()
            whole = np.issubdtype(samples.dtype, np.integer)
            decoded.append(samples.astype(np.float32) / (32768 if whole else 1))
    return np.concatenate(decoded)


def _ogg_pages(body: bytes) -> list[tuple[int, list[int]]]:
    """Return the granule position and the lacing values of each page (RFC 3533, 6)."""
    pages, at = [], 0
    while at < len(body):
        magic, granule, count = struct.unpack_from("<4s2xq12xB", body, at)
        assert magic == b"OggS"
        lacing = list(body[at + 27 : at + 27 + count])
        pages.append((granule, lacing))
        at += 27 + count + sum(lacing)
    return pages


def test_the_six_formats_have_openais_media_types():
    assert {name: FORMATS[name].content_type for name in NAMES} == {
        "mp3": "audio/mpeg",
        "opus": "audio/opus",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "wav": "audio/wav",
        "pcm": "audio/pcm",
    }


@pytest.mark.parametrize("name", ["mp3", "aac", "flac", "wav"])
@pytest.mark.parametrize(
    ("engine_rate", "requested", "chosen"),
    [
        (24000, None, 24000),
        (44100, None, 44100),
        (44100, 8000, 8000),
        (96000, None, 48000),
        (20000, None, 22050),
        (4000, None, 8000),
    ],
)
def test_the_rate_is_the_nearest_supported_one(name, engine_rate, requested, chosen):
    assert FORMATS[name].rate(engine_rate, requested) == chosen


def test_pcm_is_24_khz_by_default_and_opus_always_48():
    assert [FORMATS["pcm"].rate(48000, rate) for rate in (None, 16000)] == [24000, 16000]
    assert [FORMATS["opus"].rate(24000, rate) for rate in (None, 16000)] == [48000, 48000]


@pytest.mark.parametrize("rate", RATES)
def test_mp3_is_bare_frames(rate):
    body = _encode("mp3", rate, _tone(rate, 0.5))
    assert body[0] == 0xFF
    assert body[1] & 0xE6 == 0xE2  # sync, layer III
    assert b"ID3" not in body
    assert b"TAG" not in body[-128:]
    for mark in (b"Xing", b"Info", b"LAME3", b"VBRI"):
        assert mark not in body[:200]


def test_mp3_frames_are_independent():
    body = _encode("mp3", 24000, _tone(24000, 0.5))
    frames = [body[at : at + 384] for at in range(0, len(body), 384)]  # 72 * 128000 / 24000
    assert {frame[:2] for frame in frames} == {body[:2]}
    assert {frame[4] for frame in frames} == {0}  # main_data_begin: no bytes of earlier frames


def test_opus_pages_hold_one_frame_of_20_ms():
    samples = _noise(48000, 0.51)
    body = _encode("opus", 48000, samples)
    audio = _ogg_pages(body)[2:]  # after OpusHead and OpusTags, RFC 7845, 3
    assert all(sum(value < 255 for value in lacing) == 1 for _, lacing in audio)
    granules = [granule for granule, _ in audio]
    assert granules[0] == 960
    assert set(np.diff(granules[:-1])) == {960}
    magic, channels, pre_skip = struct.unpack_from("<8sxBH", body, 28)
    assert (magic, channels) == (b"OpusHead", 1)
    assert granules[-1] - pre_skip == len(samples)


@pytest.mark.parametrize("rate", RATES)
def test_aac_is_a_sequence_of_adts_frames(rate):
    body = _encode("aac", rate, _noise(rate, 0.5))
    at = frames = 0
    while at < len(body):
        assert body[at] == 0xFF
        assert body[at + 1] & 0xF6 == 0xF0  # sync, layer 0
        at += int.from_bytes(body[at + 3 : at + 6]) >> 5 & 0x1FFF  # the frame's length
        frames += 1
    assert at == len(body)
    assert frames * 1024 >= 0.5 * rate


def test_flac_is_native_with_little_before_the_first_frame():
    body = _encode("flac", 24000, _noise(24000, 0.5))
    assert body[:4] == b"fLaC"
    assert 0 < body.index(b"\xff\xf8") < 200  # the first frame's sync, RFC 9639, 9.1


@pytest.mark.parametrize("rate", RATES)
def test_wav_header_is_44_bytes_with_unknown_sizes(rate):
    body = _encode("wav", rate, _noise(rate, 0.1))
    unknown = 0xFFFFFFFF
    assert struct.unpack("<4sI4s4sIHHIIHH4sI", body[:44]) == (
        *(b"RIFF", unknown, b"WAVE"),
        *(b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16),
        *(b"data", unknown),
    )
    assert len(body) == 44 + 2 * round(0.1 * rate)


def test_pcm_is_two_bytes_per_sample_from_the_first_chunk():
    samples = np.array([0.0, 1.0, -1.0], np.float32)
    assert FORMATS["pcm"].open(24000).feed(samples) == b"\0\0\xff\x7f\x01\x80"


@pytest.mark.parametrize(("name", "rate"), EVERY_RATE)
def test_the_first_chunk_gives_audio_or_the_second_at_low_rates(name, rate):
    encoder = FORMATS[name].open(rate)
    chunk = _noise(rate, CHUNK_S)
    chunks = 1 if rate >= 24000 else 2
    body = b"".join(encoder.feed(chunk) for _ in range(chunks))
    encoder.close()
    assert len(_decode(name, body)) > 0


@pytest.mark.parametrize("name", NAMES)
@given(cuts=st.lists(st.integers(0, 7200), max_size=12))
@settings(max_examples=12, deadline=None)
def test_the_bytes_do_not_depend_on_the_chunks(name, cuts):
    rate = FORMATS[name].rate(24000, None)
    samples = _noise(rate, 7200 / rate)
    assert _encode(name, rate, *np.split(samples, sorted(cuts))) == _encode(name, rate, samples)


@pytest.mark.parametrize("name", NAMES)
def test_chunks_of_one_sample_give_the_same_bytes(name):
    rate = FORMATS[name].rate(24000, None)
    samples = _noise(rate, 0.1)
    assert _encode(name, rate, *np.split(samples, len(samples))) == _encode(name, rate, samples)


@pytest.mark.parametrize(("name", "rate"), [pair for pair in EVERY_RATE if pair[0] in LOSSLESS])
def test_lossless_formats_keep_every_sample(name, rate):
    samples = _noise(rate, 0.3)
    decoded = _decode(name, _encode(name, rate, samples)) * 32768
    np.testing.assert_array_equal(decoded, np.rint(samples * np.float32(32767)))


@pytest.mark.parametrize("name", LOSSLESS)
def test_samples_out_of_range_are_clipped_and_never_wrap(name):
    samples = np.array([1.5, -1.5, np.inf, -np.inf, np.nan, 0.25] * 400, np.float32)
    decoded = _decode(name, _encode(name, 24000, samples)) * 32768
    np.testing.assert_array_equal(decoded, [32767, -32767, 32767, -32767, 0, 8192] * 400)


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_clip_samples_and_replace_nan_by_silence(name):
    rate = FORMATS[name].rate(24000, None)
    loud = 4 * _tone(rate, 0.2)
    bounded = np.clip(loud, -1, 1)
    loud[100:200], bounded[100:200] = np.nan, 0
    assert _encode(name, rate, loud) == _encode(name, rate, bounded)


@pytest.mark.parametrize(("name", "bits"), [("mp3", 128_000), ("opus", 64_000), ("aac", 128_000)])
def test_lossy_formats_have_their_bit_rates(name, bits):
    assert 8 * len(_encode(name, 48000, _noise(48000, 1.0))) == pytest.approx(bits, rel=0.4)


@pytest.mark.parametrize(("name", "rate"), EVERY_RATE)
def test_a_tone_keeps_its_pitch_and_its_level(name, rate):
    samples = _tone(rate, 1.0)
    decoded = _decode(name, _encode(name, rate, samples))
    middle = decoded[rate // 4 : rate // 4 + rate // 2]  # half a second, so bins of 2 Hz
    assert 2 * np.argmax(np.abs(np.fft.rfft(middle))) == 440
    assert abs(20 * np.log10(np.std(middle) / np.std(samples))) < 1.0  # dB


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("name", "frame"), [("mp3", 576), ("aac", 1024)])
def test_no_audio_is_lost_and_the_padding_is_short(name, frame, rate):
    samples = np.concatenate([np.zeros(round(rate * 0.7) + 1, np.float32), _tone(rate, 0.05)])
    decoded = _decode(name, _encode(name, rate, samples))
    assert len(samples) <= len(decoded) <= len(samples) + 3 * frame * (1 + (rate > 24000))
    ends = np.flatnonzero(np.abs(decoded) > 0.3)[-1]  # the tone at the very end is complete
    assert ends >= len(samples) - rate // 400


def test_opus_has_the_exact_duration_of_its_input():
    samples = _noise(48000, 0.3337)
    assert len(_decode("opus", _encode("opus", 48000, samples))) == len(samples)


def test_joined_mp3_bodies_play_one_after_the_other():
    bodies = [_encode("mp3", 24000, _tone(24000, 0.6, hz)) for hz in (440, 880)]
    decoded = _decode("mp3", b"".join(bodies))
    assert len(decoded) == sum(len(_decode("mp3", body)) for body in bodies)
    tail = decoded[-12000:-2400]
    assert np.argmax(np.abs(np.fft.rfft(tail))) * 24000 / len(tail) == pytest.approx(880, abs=3)


@pytest.mark.parametrize("name", NAMES)
def test_close_is_safe_at_any_time(name):
    rate = FORMATS[name].rate(24000, None)
    unused, begun, done = (FORMATS[name].open(rate) for _ in range(3))
    for encoder in (begun, done):
        encoder.feed(_noise(rate, 0.05))
    done.finish()
    for encoder in (unused, begun, done) * 2:
        encoder.close()


@pytest.mark.parametrize("name", NAMES)
def test_no_samples_make_no_bytes(name):
    assert _encode(name, 48000, np.zeros(0, np.float32)) == b""


def test_encoders_can_run_concurrently():
    jobs = [(name, FORMATS[name].rate(24000, None)) for name in NAMES] * 4
    alone = {name: _encode(name, rate, _noise(rate, 0.5)) for name, rate in jobs}
    with ThreadPoolExecutor(len(jobs)) as pool:
        together = pool.map(
            lambda job: _encode(job[0], job[1], *np.array_split(_noise(job[1], 0.5), 9)), jobs
        )
        for (name, _), body in zip(jobs, together, strict=True):
            assert body == alone[name]


def test_ffmpeg_writes_nothing_to_stderr(capfd):
    for name, rate in EVERY_RATE:
        _encode(name, rate, 9 * _noise(rate, 0.1))
    assert capfd.readouterr().err == ""
