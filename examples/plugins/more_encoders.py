"""Two more formats in one file: mu-law for telephony, and Opus in WebM for browsers."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from voxcpm_openai import AudioFormat, Samples, hookimpl


@hookimpl
def register_encoders() -> list[AudioFormat]:
    """Return ``g711_ulaw`` (always 8 kHz) and ``webm`` (always 48 kHz)."""
    return [
        AudioFormat(
            "g711_ulaw",
            "audio/basic",
            open=lambda rate: FfmpegEncoder("mulaw", "pcm_mulaw", "s16", rate),
            rate=lambda _engine_rate, _requested: 8_000,
        ),
        AudioFormat(
            "webm",
            "audio/webm",
            open=lambda rate: FfmpegEncoder("webm", "libopus", "flt", rate, live="1"),
            rate=lambda _engine_rate, _requested: 48_000,
        ),
    ]


class FfmpegEncoder:
    """An encoder with one of ffmpeg's codecs and muxers."""

    def __init__(
        self, muxer: str, codec: str, sample_format: str, rate: int, **options: str
    ) -> None:
        self.sample_format = sample_format
        self.rate = rate
        self.samples_in = 0
        self.written = bytearray()
        self.container = av.open(self, "w", format=muxer, container_options=options)
        self.stream = self.container.add_stream(codec, rate, layout="mono", format=sample_format)

    def write(self, data: bytes) -> int:
        """Collect the muxer's output (this object is its file)."""
        self.written += data
        return len(data)

    def feed(self, samples: Samples) -> bytes:
        """Take samples; return the bytes that are ready."""
        clipped = np.clip(samples, -1.0, 1.0)
        if self.sample_format == "s16":
            clipped = np.rint(clipped * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(clipped[None], self.sample_format, "mono")
        frame.sample_rate = self.rate
        frame.time_base = Fraction(1, self.rate)
        frame.pts = self.samples_in
        self.samples_in += len(samples)
        self.container.mux(self.stream.encode(frame))
        return self.drain()

    def finish(self) -> bytes:
        """Return the remaining bytes."""
        self.container.mux(self.stream.encode(None))
        self.container.close()
        return self.drain()

    def close(self) -> None:
        """Free the codec."""
        self.container.close()

    def drain(self) -> bytes:
        """Return the output since the last call."""
        ready = bytes(self.written)
        self.written.clear()
        return ready
