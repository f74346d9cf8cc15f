"""The stock formats beside OpenAI's: ogg, webm and G.711; and the choice of bit rates."""

from __future__ import annotations

import io
from functools import partial

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxcpm_openai import AudioFormat, Samples
from voxcpm_openai.registry import load_registry
from voxcpm_openai.settings import Settings

FORMATS = load_registry(Settings()).formats
NAMES = ("ogg", "webm", "ulaw", "alaw")
G711 = {"ulaw": "mulaw", "alaw": "alaw"}


def _rate(name: str) -> int:
    return FORMATS[name].rate(24_000, None)


def _tone(rate: int, seconds: float) -> Samples:
    at = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)


def _encode(format_: AudioFormat, *chunks: Samples, bit_rate: int | None = None) -> bytes:
    rate = format_.rate(24_000, None)
    open_ = format_.open if bit_rate is None else partial(format_.open_at, bit_rate=bit_rate)
    encoder = open_(rate)
    try:
        return b"".join([*(encoder.feed(chunk) for chunk in chunks), encoder.finish()])
    finally:
        encoder.close()


def _decode(name: str, body: bytes) -> Samples:
    raw = {"format": G711[name], "options": {"sample_rate": "8000"}} if name in G711 else {}
    with av.open(io.BytesIO(body), **raw) as container:
        frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    samples = np.concatenate(frames)
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / 32768
    return samples


@pytest.mark.parametrize(
    ("name", "content_type", "rate", "start"),
    [
        ("ogg", "audio/opus", 48_000, b"OggS"),
        ("webm", "audio/webm", 48_000, b"\x1a\x45\xdf\xa3"),
        ("ulaw", "audio/basic", 8_000, b""),
        ("alaw", "audio/x-alaw-basic", 8_000, b""),
    ],
)
def test_each_format_has_its_media_type_its_rate_and_its_first_bytes(
    name: str, content_type: str, rate: int, start: bytes
) -> None:
    format_ = FORMATS[name]
    assert format_.content_type == content_type
    assert {format_.rate(24_000, asked) for asked in (None, 8_000, 44_100)} == {rate}
    assert _encode(format_, _tone(rate, 0.1)).startswith(start)


@pytest.mark.parametrize("name", NAMES)
def test_a_tone_keeps_its_pitch_its_level_and_its_duration(name: str) -> None:
    rate = _rate(name)
    samples = _tone(rate, 1.0)
    decoded = _decode(name, _encode(FORMATS[name], samples))
    assert len(decoded) == pytest.approx(len(samples), abs=rate // 50)
    middle = decoded[rate // 4 : rate // 4 + rate // 2]
    assert 2 * np.argmax(np.abs(np.fft.rfft(middle))) == 440
    assert abs(20 * np.log10(np.std(middle) / np.std(samples))) < 1.0


@pytest.mark.parametrize("name", G711)
def test_g711_is_one_byte_a_sample_without_a_header(name: str) -> None:
    assert len(_encode(FORMATS[name], _tone(8_000, 0.5))) == 4_000
    silence = _encode(FORMATS[name], np.zeros(8, np.float32))
    assert silence == {"ulaw": b"\xff", "alaw": b"\xd5"}[name] * 8


@pytest.mark.parametrize("name", NAMES)
@given(cuts=st.lists(st.integers(0, 4800), max_size=8))
@settings(max_examples=12, deadline=None)
def test_the_bytes_do_not_depend_on_the_chunks(name: str, cuts: list[int]) -> None:
    samples = _tone(_rate(name), 4800 / _rate(name))
    whole = _encode(FORMATS[name], samples)
    assert _encode(FORMATS[name], *np.split(samples, sorted(cuts))) == whole


@pytest.mark.parametrize("name", NAMES)
def test_the_first_160_ms_give_audio(name: str) -> None:
    encoder = FORMATS[name].open(_rate(name))
    begun = encoder.feed(_tone(_rate(name), 0.16))
    encoder.close()
    assert len(_decode(name, begun)) >= _rate(name) // 20


@pytest.mark.parametrize("name", NAMES)
def test_close_is_safe_at_any_time_and_no_samples_make_no_bytes(name: str) -> None:
    assert _encode(FORMATS[name], np.zeros(0, np.float32)) == b""
    unused, begun, done = (FORMATS[name].open(_rate(name)) for _ in range(3))
    for encoder in (begun, done):
        encoder.feed(_tone(_rate(name), 0.05))
    done.finish()
    for encoder in (unused, begun, done) * 2:
        encoder.close()


@pytest.mark.parametrize("bit_rate", [32_000, 64_000, 128_000])
@pytest.mark.parametrize("name", ["mp3", "aac", "opus", "ogg", "webm"])
def test_formats_that_lose_something_have_a_choice_of_bit_rates(name: str, bit_rate: int) -> None:
    rng = np.random.default_rng(7)
    noise = rng.uniform(-0.5, 0.5, _rate(name)).astype(np.float32)
    assert 8 * len(_encode(FORMATS[name], noise, bit_rate=bit_rate)) == pytest.approx(
        bit_rate, rel=0.4
    )


@pytest.mark.parametrize("name", ["flac", "wav", "pcm", "ulaw", "alaw"])
def test_the_others_have_none(name: str) -> None:
    assert FORMATS[name].open_at is None
