"""Decodes untrusted audio in a process of its own: ``python -P decode.py CONTAINER``.

Reads the file from standard input.  Writes a line of JSON, ``{"rate": ...}`` followed by mono
float32 samples, or ``{"rejected": "the reason"}``.  Imports nothing of this package, so that it
starts fast.  Its resource limits let it open no file, so that no format can make it read one.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import av
import av.error

RATES = (8_000, 192_000)
"""Hz: the lowest and the highest sample rate that is accepted."""
MAX_RATE = 48_000
"""Hz: audio of a higher rate is resampled to this one."""
MAX_CHANNELS = 6
"""PyAV reports one plane too many for eight channels."""
MAX_SECONDS = 60.0
"""The longest recording.  Decoding stops there, since a small file can hold hours of audio."""
PADDING = 0.1
"""Seconds that a codec may add to the recording."""
MAX_FAILED = 0.05
"""The share of packets that may fail.  One may fail in any file: many are cut short."""

MEMORY = 512 * 1024 * 1024
"""Bytes of address space; the interpreter and the codecs use 150 MiB."""
CPU_SECONDS = 10

PCM = "pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw"
CODECS = {
    "mp3": "mp3float,mp3,mp2float,mp2,mp1float,mp1",
    "wav": f"{PCM},adpcm_ms,adpcm_ima_wav",
    "ogg": "vorbis,opus,libopus,flac",
    "aac": "aac",
    "flac": "flac",
    "matroska": "opus,libopus,vorbis,aac,flac,mp3float,mp3,pcm_s16le,pcm_f32le",
    "mov": "aac,alac,mp3float,mp3,opus,libopus,flac,pcm_s16le,pcm_s16be,pcm_s24le,pcm_f32le",
}
"""The demuxers and the decoders that are used, by ffmpeg's names.  No others are tried."""


class DecodeRejected(Exception):
    """The file holds no usable audio; the message says why."""


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """The loudest channel: float32 samples in native byte order, and their rate in Hz."""

    samples: bytes
    rate: int


def decode(content: bytes, container: str) -> DecodedAudio:
    """Decode the first audio stream of a file; ``container``: a key of ``CODECS``.

    Raises DecodeRejected.
    """
    options = {
        "codec_whitelist": CODECS[container],
        "format_whitelist": container,
        "protocol_whitelist": "none",
    }
    try:
        source = av.open(
            io.BytesIO(content),
            "r",
            format=container,
            container_options=options,
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise DecodeRejected("The file is damaged: its header cannot be read.") from error
    with source:
        if not source.streams.audio:
            raise DecodeRejected("The file has no audio stream. Send an audio recording.")
        codec = source.streams.audio[0].codec_context
        name = codec.codec.name if codec else "an unknown codec"
        if name not in CODECS[container].split(","):
            raise DecodeRejected(f"The audio is coded as {name}. Send it as wav or mp3.")
        codec.thread_count = 1  # each thread uses memory for its stack
        return _decode_loudest(source)


def _decode_loudest(source: av.container.InputContainer) -> DecodedAudio:
    """Decode all channels and return the loudest: a mix could cancel out or hide clipping."""
    channels: list[bytearray] = []
    resampler: av.AudioResampler | None = None
    shape: tuple[int, int] | None = None
    seconds = 0.0
    for frame in _frames(source):
        if shape is None:
            shape = frame.sample_rate, frame.layout.nb_channels
            rate = _output_rate(*shape)
            channels = [bytearray() for _ in range(shape[1])]
            resampler = av.AudioResampler("fltp", frame.layout, rate)
        elif shape != (frame.sample_rate, frame.layout.nb_channels):
            raise DecodeRejected(
                "The sample rate or the number of channels changes within the file."
            )
        seconds += frame.samples / frame.sample_rate
        if seconds > MAX_SECONDS + PADDING:
            raise DecodeRejected(
                f"The recording is longer than {MAX_SECONDS:g} s. Send a shorter part of it."
            )
        assert resampler is not None
        _append(channels, resampler.resample(frame))
    if resampler is None:
        raise DecodeRejected("The file is damaged: no audio can be decoded.")
    _append(channels, resampler.resample(None))
    return DecodedAudio(bytes(max(channels, key=_loudness)), rate)


def _frames(source: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Decode packet by packet; skip the few that fail.  Raises DecodeRejected if many do."""
    stream = source.streams.audio[0]
    packets = failed = 0
    demuxer = source.demux(stream)
    while True:
        try:
            packet = next(demuxer)
        except StopIteration:
            break
        except (av.error.FFmpegError, ValueError):
            failed += 1
            break
        packets += 1
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            failed += 1
            continue
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            if frame.samples:
                yield frame
    if failed > max(1, MAX_FAILED * packets):
        raise DecodeRejected(
            f"The file is damaged: {failed} of its {packets} packets cannot be decoded."
        )


def _output_rate(rate: int, channels: int) -> int:
    """Return the rate of the output.  Raises DecodeRejected for a rate or a count out of range."""
    lowest, highest = RATES
    if not lowest <= rate <= highest:
        raise DecodeRejected(
            f"The sample rate is {rate} Hz. Record at {lowest} to {highest} Hz, preferably 48000."
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise DecodeRejected(f"The file has {channels} channels. Record in mono or stereo.")
    return min(rate, MAX_RATE)


def _append(channels: list[bytearray], frames: list[av.AudioFrame]) -> None:
    for frame in frames:
        for channel, plane in zip(channels, frame.planes, strict=True):
            channel.extend(memoryview(plane)[: frame.samples * 4])


def _loudness(channel: bytearray) -> float:
    """Return the energy of a channel, from every 16th sample."""
    return sum(sample * sample for sample in memoryview(channel).cast("f")[::16])


def _warm_up() -> None:
    """Decode 10 ms of silence: PyAV imports modules late, and ``_limit`` forbids opening files."""
    size = 2 * MAX_RATE // 100
    form = struct.pack("<HHIIHH", 1, 1, MAX_RATE, 2 * MAX_RATE, 2, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    decode(b"RIFF" + struct.pack("<I", len(chunks) + size) + chunks + bytes(size), "wav")


def _limit() -> None:
    """Limit memory and CPU time; forbid core dumps and opening files."""
    limits = {
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 3,
    }
    if sys.platform != "darwin":  # macOS does not support it
        limits[resource.RLIMIT_AS] = MEMORY
    for kind, wanted in limits.items():
        _, hard = resource.getrlimit(kind)
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (limit, limit))


def main() -> None:
    """Decode the standard input to the standard output."""
    (container,) = sys.argv[1:]
    _warm_up()
    _limit()
    try:
        audio = decode(sys.stdin.buffer.read(), container)
    except DecodeRejected as error:
        output = json.dumps({"rejected": str(error)}).encode()
    else:
        output = json.dumps({"rate": audio.rate}).encode() + b"\n" + audio.samples
    sys.stdout.buffer.write(output)


if __name__ == "__main__":
    main()
