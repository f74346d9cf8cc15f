"""Decodes a stranger's audio, in a process of its own: ``python -P decode.py CONTAINER``.

The file comes in at the standard input.  A line of JSON goes out, then, unless it says ``refused``,
mono float32 samples.  It imports nothing of this package, so that it starts fast; its limits let
it open no file, so that no format can make it read one.
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
"""Hz: what is decoded."""
TOP_RATE = 48_000
"""Hz: sound of a higher rate comes out at this one."""
MAX_CHANNELS = 6
"""PyAV counts a plane too many of eight."""
MAX_SECONDS = 60.0
"""The longest recording; decoding stops where it is passed, for a small file can hold hours."""
PADDING = 0.1
"""Seconds that a codec may add to it."""
SPOILT = 0.05
"""The share of packets that may fail; one may in any file, which is often cut short."""

MEMORY = 512 * 1024 * 1024
"""Bytes of address space; the interpreter and the codecs take 150 MiB of it."""
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
"""The demuxers and the decoders, in ffmpeg's names, that may see a file: no other is tried."""


class Refused(Exception):
    """The file holds no sound that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Sound:
    """The loudest channel: float32 samples as bytes, in this machine's order, and their rate."""

    samples: bytes
    rate: int


def decode(content: bytes, container: str) -> Sound:
    """Decode the first stream of audio in a file; ``container`` is a key of ``CODECS``.

    Raises Refused.
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
        raise Refused("The file is damaged: its head cannot be read.") from error
    with source:
        if not source.streams.audio:
            raise Refused("The file holds no audio stream; record sound.")
        codec = source.streams.audio[0].codec_context
        name = codec.codec.name if codec else "something unknown"
        if name not in CODECS[container].split(","):
            raise Refused(f"The sound in the file is coded as {name}; send it as wav or mp3.")
        codec.thread_count = 1  # each thread would take memory for its stack
        return _channels(source)


def _channels(source: av.container.InputContainer) -> Sound:
    """Decode all channels and keep the loudest: a mix could cancel out, or hide clipping."""
    channels: list[bytearray] = []
    resampler: av.AudioResampler | None = None
    shape: tuple[int, int] | None = None
    seconds = 0.0
    for frame in _frames(source):
        if shape is None:
            shape = frame.sample_rate, frame.layout.nb_channels
            rate = _checked(*shape)
            channels = [bytearray() for _ in range(shape[1])]
            resampler = av.AudioResampler("fltp", frame.layout, rate)
        elif shape != (frame.sample_rate, frame.layout.nb_channels):
            raise Refused("The sample rate or the number of channels changes within the file.")
        seconds += frame.samples / frame.sample_rate
        if seconds > MAX_SECONDS + PADDING:
            raise Refused(
                f"The recording is longer than {MAX_SECONDS:g} s; send a shorter piece of it."
            )
        assert resampler is not None
        _append(channels, resampler.resample(frame))
    if resampler is None:
        raise Refused("The file is damaged: no sound could be decoded from it.")
    _append(channels, resampler.resample(None))
    return Sound(bytes(max(channels, key=_loudness)), rate)


def _frames(source: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Decode packet by packet and pass over the few that fail."""
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
    if failed > max(1, SPOILT * packets):
        raise Refused(f"The file is damaged: {failed} of its {packets} packets cannot be decoded.")


def _checked(rate: int, channels: int) -> int:
    """Return the rate that goes out.  Raises Refused for a rate or channels beyond all sense."""
    lowest, highest = RATES
    if not lowest <= rate <= highest:
        raise Refused(
            f"The sample rate is {rate} Hz; record at {lowest} to {highest} Hz, best at 48000."
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise Refused(f"The file has {channels} channels; record in mono or stereo.")
    return min(rate, TOP_RATE)


def _append(channels: list[bytearray], frames: list[av.AudioFrame]) -> None:
    for frame in frames:
        for channel, plane in zip(channels, frame.planes, strict=True):
            channel.extend(memoryview(plane)[: frame.samples * 4])


def _loudness(channel: bytearray) -> float:
    """Return the energy of a channel, from every 16th sample."""
    return sum(sample * sample for sample in memoryview(channel).cast("f")[::16])


def _warm() -> None:
    """Decode 10 ms of silence: PyAV imports much of itself late, and soon no file can be opened."""
    size = 2 * TOP_RATE // 100
    form = struct.pack("<HHIIHH", 1, 1, TOP_RATE, 2 * TOP_RATE, 2, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    decode(b"RIFF" + struct.pack("<I", len(chunks) + size) + chunks + bytes(size), "wav")


def _limit() -> None:
    """Let the codecs have little memory and time, no core dump, and no new file of any kind."""
    limits = {
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 3,
    }
    if sys.platform != "darwin":  # which refuses to set it
        limits[resource.RLIMIT_AS] = MEMORY
    for what, most in limits.items():
        _, hard = resource.getrlimit(what)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def main() -> None:
    """Decode the standard input to the standard output."""
    (container,) = sys.argv[1:]
    _warm()
    _limit()
    try:
        sound = decode(sys.stdin.buffer.read(), container)
    except Refused as refused:
        answer = json.dumps({"refused": str(refused)}).encode()
    else:
        answer = json.dumps({"rate": sound.rate}).encode() + b"\n" + sound.samples
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
