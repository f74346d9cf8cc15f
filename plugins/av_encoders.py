"""The six formats of OpenAI's speech API: mp3, opus, aac, flac, wav and pcm.

All of them give bytes while the speech is still being made, and the same bytes however the
samples are cut into chunks.  The shapes of the bytes are those that clients of OpenAI rely on:
mp3 is bare frames, so that bodies may be joined; wav has a header of 44 bytes whose sizes are
0xFFFFFFFF, as OpenAI streams it; pcm is always 24 kHz unless asked otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

import av
import numpy as np
import numpy.typing as npt

from voxcpm_openai import AudioFormat, Encoder, Samples, hookimpl

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""The sample rates, in Hz, that every codec here takes (opus alone has only 48000)."""

FULL_SCALE = 32767
"""The int16 value of a sample of 1.0.  One scale for all formats: -32768 is never written."""

_PCM_RATE = 24000
_OPUS_RATE = 48000
_UNKNOWN_SIZE = 0xFFFFFFFF


@hookimpl
def register_encoders() -> list[AudioFormat]:
    """Give the six formats."""
    return [
        AudioFormat("mp3", "audio/mpeg", partial(AvEncoder, _MP3), _near_rate),
        AudioFormat("opus", "audio/opus", partial(AvEncoder, _OPUS), _opus_rate),
        AudioFormat("aac", "audio/aac", partial(AvEncoder, _AAC), _near_rate),
        AudioFormat("flac", "audio/flac", partial(AvEncoder, _FLAC), _near_rate),
        AudioFormat("wav", "audio/wav", _open_wav, _near_rate),
        AudioFormat("pcm", "audio/pcm", _open_pcm, _pcm_rate),
    ]


def _near_rate(engine_rate: int, asked: int | None) -> int:
    """Choose what was asked for, else the engine's rate; the nearest one that codecs take."""
    wanted = asked or engine_rate
    return min(RATES, key=lambda rate: abs(rate - wanted))


def _opus_rate(_engine_rate: int, _asked: int | None) -> int:
    """RFC 7845: Ogg Opus is always timed at 48 kHz."""
    return _OPUS_RATE


def _pcm_rate(_engine_rate: int, asked: int | None) -> int:
    """Nothing in the bytes tells the rate, and clients play them at 24 kHz unasked."""
    return asked or _PCM_RATE


def _in_range(samples: Samples) -> Samples:
    """Clip to [-1, 1]; what is not a number becomes silence, since LAME aborts the process."""
    return np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0)


def _int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Clip, scale and round; shape ``(n,)``."""
    scaled: Samples = np.rint(_in_range(samples) * np.float32(FULL_SCALE))
    return scaled.astype(np.int16)


class LinearEncoder:
    """Little-endian 16-bit samples, after a header that goes out with the first of them."""

    def __init__(self, header: bytes = b"") -> None:
        """``header``: the bytes before the samples."""
        self._header = header

    def feed(self, samples: Samples) -> bytes:
        """Return all samples at once: two bytes each."""
        if not len(samples):
            return b""
        header, self._header = self._header, b""
        return header + _int16(samples).astype("<i2").tobytes()

    def finish(self) -> bytes:
        """Nothing is ever held back."""
        return b""

    def close(self) -> None:
        """Nothing to free."""


def _open_pcm(_rate: int) -> Encoder:
    return LinearEncoder()


def _open_wav(rate: int) -> Encoder:
    """The 44 bytes of a RIFF header, both sizes unknown, for 16-bit mono PCM at ``rate`` Hz."""
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", _UNKNOWN_SIZE, b"WAVE"),
        *(b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16),
        *(b"data", _UNKNOWN_SIZE),
    )
    return LinearEncoder(header)


@dataclass(frozen=True, slots=True)
class Codec:
    """How ffmpeg is to make one format.

    ``sample_format``: ``flt`` and ``fltp`` (the same for mono) or ``s16``.  ``bit_rate`` in
    bits a second, None for lossless; ffmpeg lowers it where a rate does not allow as much.
    ``muxer_options`` and ``options`` are ffmpeg's own.
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
    # Without a bit reservoir each frame leaves one frame sooner and can be cut and joined freely.
    {"reservoir": "0", "compression_level": "5"},
)
_OPUS = Codec(
    "ogg",
    "libopus",
    "flt",
    64_000,
    # In microseconds; the muxer's default page would hold back a second of audio.
    {"page_duration": "20000"},
)
_AAC = Codec(
    "adts",
    "aac",
    "fltp",
    128_000,
    # A quarter of the default search's time; at this bit rate speech has bits to spare.
    options={"aac_coder": "fast"},
)
_FLAC = Codec(
    "flac",
    "flac",
    "s16",
    # 8 KiB of padding for tags that never come would go before the first audio.
    muxer_options={"metadata_header_padding": "0"},
)


class AvEncoder:
    """One stream through a codec and a muxer of ffmpeg."""

    def __init__(self, codec: Codec, rate: int) -> None:
        """``rate`` in Hz, one of ``RATES``."""
        self._rate = rate
        self._taken = 0  # samples
        self._float = codec.sample_format != "s16"
        self._format = codec.sample_format
        self._out = _Sink()
        self._container = av.open(
            self._out,
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
        """Take samples; return the packets that they completed."""
        if not len(samples):
            return b""
        ready = _in_range(samples) if self._float else _int16(samples)
        frame = av.AudioFrame.from_ndarray(ready[None], format=self._format, layout="mono")
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._taken
        self._taken += len(samples)
        self._container.mux(self._stream.encode(frame))
        return self._out.take()

    def finish(self) -> bytes:
        """Return what the codec still holds; nothing at all where nothing was fed."""
        if self._taken:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        return self._out.take()

    def close(self) -> None:
        """Free codec and muxer; what is not out yet is dropped."""
        self._container.close()
        self._out.take()


class _Sink:
    """What the muxer writes into.

    It has no ``seek``, so ffmpeg writes nothing that it would come back to: no Xing frame in mp3.
    """

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        written = bytes(self._written)
        self._written.clear()
        return written
