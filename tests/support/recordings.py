"""Recordings for tests: stock clips, with noise, resampled, and in many containers."""

from __future__ import annotations

import io
from functools import cache

import av
import numpy as np
import soundfile

from tests.support import ROOT
from voxcpm_openai import Resampler, Samples

VOICES = ROOT / "voices"
STOCK = sorted(path.stem for path in VOICES.glob("*.flac"))
RATE = 24_000

FILES = {
    "mp3": ("mp3", "libmp3lame", 24_000),
    "mp2": ("mp2", "mp2", 48_000),
    "wav": ("wav", "pcm_s16le", 24_000),
    "wav of 24 bits": ("wav", "pcm_s24le", 24_000),
    "wav in mu-law": ("wav", "pcm_mulaw", 8_000),
    "ogg vorbis": ("ogg", "vorbis", 24_000),
    "ogg opus": ("ogg", "libopus", 48_000),
    "aac": ("adts", "aac", 24_000),
    "flac": ("flac", "flac", 24_000),
    "webm": ("webm", "libopus", 48_000),
    "mkv": ("matroska", "aac", 24_000),
    "mp4": ("mp4", "aac", 24_000),
    "m4a": ("ipod", "alac", 24_000),
    "3gp": ("3gp", "aac", 24_000),
}
"""Accepted files: ffmpeg's names of the container and the codec, and the rate in Hz."""


@cache
def stock(name: str = "alloy") -> Samples:
    """Return a stock clip: float32 at ``RATE``."""
    samples, rate = soundfile.read(VOICES / f"{name}.flac", dtype="float32")
    assert rate == RATE
    samples.setflags(write=False)
    return samples


def noisy(samples: Samples, ratio: float, seed: int = 0) -> Samples:
    """Add white noise ``ratio`` dB below the samples' power."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    power = np.mean(samples**2) / 10 ** (ratio / 10)
    return (samples + noise * np.sqrt(power)).astype(np.float32)


def wav(samples: Samples, rate: int = RATE, subtype: str = "PCM_16") -> bytes:
    """Return samples, shape (n,) or (n, channels), as a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def at(samples: Samples, rate: int) -> Samples:
    """Return samples at another rate."""
    resampler = Resampler(RATE, rate)
    return np.concatenate([resampler.feed(samples), resampler.finish()])


@cache
def recorded(kind: str, name: str = "alloy") -> bytes:
    """Return a stock clip as one of ``FILES``."""
    container, codec, rate = FILES[kind]
    return encoded(at(stock(name), rate), rate, container, codec)


def encoded(samples: Samples, rate: int, container: str, codec: str) -> bytes:
    """Encode samples into a file, with a title in it."""
    file = io.BytesIO()
    if codec == "vorbis":  # ffmpeg has none for mono
        soundfile.write(file, samples, rate, format="OGG", subtype="VORBIS")
        return file.getvalue()
    with av.open(file, "w", format=container) as sink:
        sink.metadata["title"] = "A recording"
        stream = sink.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", rate, stream.codec_context.frame_size or 1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            sink.mux(stream.encode(part))
        sink.mux(stream.encode(None))
    return file.getvalue()
