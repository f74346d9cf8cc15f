"""The six formats of OpenAI's speech API: mp3, opus, aac, flac, wav and pcm; webm and G.711.

All of them stream, and the bytes do not depend on how the samples are divided into chunks.  Their
structure is the one that clients of OpenAI rely on: mp3 is frames without tags, so that bodies can
be concatenated; wav has a 44-byte header with the sizes 0xFFFFFFFF, as OpenAI streams it; pcm is
24 kHz unless the request names another rate.  G.711 (ulaw, alaw) is raw, at the 8 kHz of telephony.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial

import av
import numpy as np
import numpy.typing as npt

from voxcpm_openai import AudioEncoder, AudioFormat, Samples, hookimpl

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""The sample rates, in Hz, that every codec here supports (except opus: only 48000)."""

FULL_SCALE = 32767
"""The int16 value of a sample of 1.0, in all formats: -32768 is never written."""

_PCM_RATE = 24000
_OPUS_RATE = 48000
_UNKNOWN_SIZE = 0xFFFFFFFF


_G711_RATE = 8000


@hookimpl
def register_encoders() -> list[AudioFormat]:
    """Return the six formats, and ``ogg`` (the same as opus), ``webm``, ``ulaw`` and ``alaw``."""
    return [
        _format("mp3", "audio/mpeg", _MP3, _near_rate),
        _format("opus", "audio/opus", _OPUS, _opus_rate),
        _format("aac", "audio/aac", _AAC, _near_rate),
        _format("flac", "audio/flac", _FLAC, _near_rate),
        AudioFormat("wav", "audio/wav", _open_wav, _near_rate),
        AudioFormat("pcm", "audio/pcm", _open_pcm, _pcm_rate),
        _format("ogg", "audio/opus", _OPUS, _opus_rate),
        _format("webm", "audio/webm", _WEBM, _opus_rate),
        _format("ulaw", "audio/basic", _ULAW, _g711_rate),
        _format("alaw", "audio/x-alaw-basic", _ALAW, _g711_rate),
    ]


def _format(
    name: str, content_type: str, codec: Codec, rate: Callable[[int, int | None], int]
) -> AudioFormat:
    """Return a format that ffmpeg encodes, with a choice of bit rates unless it is lossless."""

    def open_at(rate: int, bit_rate: int) -> AudioEncoder:
        return AvEncoder(replace(codec, bit_rate=bit_rate), rate)

    choice = None if codec.bit_rate is None else open_at
    return AudioFormat(name, content_type, partial(AvEncoder, codec), rate, choice)


def _near_rate(engine_rate: int, requested: int | None) -> int:
    """Return the supported rate nearest to the requested one, or to the engine's."""
    wanted = requested or engine_rate
    return min(RATES, key=lambda rate: abs(rate - wanted))


def _opus_rate(_engine_rate: int, _requested: int | None) -> int:
    """Return 48 kHz, at which Ogg Opus is always timed (RFC 7845)."""
    return _OPUS_RATE


def _g711_rate(_engine_rate: int, _requested: int | None) -> int:
    """Return 8 kHz, the only rate of G.711."""
    return _G711_RATE


def _pcm_rate(_engine_rate: int, requested: int | None) -> int:
    """Return the requested rate, or 24 kHz, which clients expect: the bytes do not state it."""
    return requested or _PCM_RATE


def _in_range(samples: Samples) -> Samples:
    """Clip to [-1, 1]; NaN becomes silence, since it makes LAME abort the process."""
    return np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0)


def _int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Clip, scale and round; shape ``(n,)``."""
    scaled: Samples = np.rint(_in_range(samples) * np.float32(FULL_SCALE))
    return scaled.astype(np.int16)


class LinearEncoder:
    """Little-endian 16-bit samples, after a header that is returned with the first of them."""

    def __init__(self, header: bytes = b"") -> None:
        """``header``: the bytes before the samples."""
        self._header = header

    def feed(self, samples: Samples) -> bytes:
        """Return all samples, two bytes each."""
        if not len(samples):
            return b""
        header, self._header = self._header, b""
        return header + _int16(samples).astype("<i2").tobytes()

    def finish(self) -> bytes:
        """Return nothing: no samples are buffered."""
        return b""

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def _open_pcm(_rate: int) -> AudioEncoder:
    return LinearEncoder()


def _open_wav(rate: int) -> AudioEncoder:
    """Return an encoder with a 44-byte RIFF header for 16-bit mono PCM, both sizes unknown."""
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", _UNKNOWN_SIZE, b"WAVE"),
        *(b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16),
        *(b"data", _UNKNOWN_SIZE),
    )
    return LinearEncoder(header)


@dataclass(frozen=True, slots=True)
class Codec:
    """How ffmpeg encodes one format.

    ``sample_format``: ``flt`` and ``fltp`` (the same for mono) or ``s16``.  ``bit_rate`` in
    bits per second, None for lossless; ffmpeg lowers it where the sample rate requires it.
    ``muxer_options`` and ``options``: ffmpeg's options of the muxer and the codec.
    """

    muxer: str
    name: str
    sample_format: str
    bit_rate: int | None = None
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


_MP3 = Codec(
    "mp3",
    "libmp3lame",
    "fltp",
    128_000,
    {"id3v2_version": "0"},
    # Without a bit reservoir frames are independent, and each is ready one frame earlier.
    {"reservoir": "0", "compression_level": "5"},
)
_OPUS = Codec(
    "ogg",
    "libopus",
    "flt",
    64_000,
    # In microseconds; the default page of the muxer would delay a second of audio.
    {"page_duration": "20000"},
)
_AAC = Codec(
    "adts",
    "aac",
    "fltp",
    128_000,
    # A quarter of the default's time; this bit rate is more than speech needs.
    options={"aac_coder": "fast"},
)
_FLAC = Codec(
    "flac",
    "flac",
    "s16",
    # By default, 8 KiB of padding for tags would precede the first audio.
    muxer_options={"metadata_header_padding": "0"},
)
_WEBM = Codec(
    "webm",
    "libopus",
    "flt",
    64_000,
    # In milliseconds; by default a cluster would hold back five seconds of audio.
    {"live": "1", "cluster_time_limit": "20"},
)
_ULAW = Codec("mulaw", "pcm_mulaw", "s16")
_ALAW = Codec("alaw", "pcm_alaw", "s16")


class AvEncoder:
    """An encoder with a codec and a muxer of ffmpeg."""

    def __init__(self, codec: Codec, rate: int) -> None:
        """``rate`` in Hz, one of ``RATES``."""
        self._rate = rate
        self._samples_in = 0  # samples
        self._float = codec.sample_format != "s16"
        self._format = codec.sample_format
        self._sink = _Sink()
        self._container = av.open(
            self._sink,
            "w",
            format=codec.muxer,
            # bitexact: the same samples give the same bytes (a fixed Ogg serial, no versions)
            container_options={"fflags": "+bitexact", **codec.muxer_options},
        )
        stream = self._container.add_stream(
            codec.name, rate, dict(codec.options), layout="mono", format=codec.sample_format
        )
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        if codec.bit_rate is not None:
            stream.bit_rate = codec.bit_rate

    def feed(self, samples: Samples) -> bytes:
        """Take samples; return the packets that are complete."""
        if not len(samples):
            return b""
        ready = _in_range(samples) if self._float else _int16(samples)
        frame = av.AudioFrame.from_ndarray(ready[None], format=self._format, layout="mono")
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples_in
        self._samples_in += len(samples)
        self._container.mux(self._stream.encode(frame))
        return self._sink.drain()

    def finish(self) -> bytes:
        """Return the remaining packets; nothing if no samples were fed."""
        if self._samples_in:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        return self._sink.drain()

    def close(self) -> None:
        """Free codec and muxer; discard what they still hold."""
        self._container.close()
        self._sink.drain()


class _Sink:
    """The file that the muxer writes.

    It has no ``seek``, so ffmpeg writes nothing that it would update later: no Xing frame in mp3.
    """

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def drain(self) -> bytes:
        """Return what was written since the last call."""
        written = bytes(self._written)
        self._written.clear()
        return written
