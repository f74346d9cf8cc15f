"""Recordings from clients: detect the container, decode in a subprocess, check, normalize."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

import numpy as np
import soundfile

from voxcpm_openai.contracts import Samples
from voxcpm_openai.errors import InvalidRequest, Overloaded
from voxcpm_openai.voices.intake import decode
from voxcpm_openai.voices.intake.quality import ClipRejected, normalize_clip

logger = logging.getLogger(__name__)

MAX_BYTES = 10 * 1024 * 1024
"""The largest file."""
ACCEPTED = "mp3, wav, ogg (vorbis, opus), aac, flac, webm, mp4 or m4a"

DECODERS = 2
"""How many files a worker decodes at a time, each in a process of its own."""
MAX_WAIT = 30.0
"""Seconds for which a file waits until it is decoded."""
DECODE_SECONDS = 20.0
"""Seconds of wall time for one file; most take 0.1 s."""
ENVIRONMENT = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")
"""The variables that the decoder gets.  The rest of the environment holds API keys."""

MAGIC = {b"OggS": "ogg", b"fLaC": "flac", b"\x1a\x45\xdf\xa3": "matroska"}
"""Containers by their first bytes."""
NOT_ACCEPTED = {
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"FORM": "an AIFF file",
    b"caff": "a CAF file",
    b"#!AMR": "an AMR file",
    b"MThd": "a MIDI file",
    b"\x30\x26\xb2\x75": "a WMA file",
    b"RIFF": "a RIFF file without sound",
}
"""Other files that clients send, by their first bytes."""

_decoders = threading.BoundedSemaphore(DECODERS)


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording that can be cloned: mono, trimmed, as loud as the stock voices' clips.

    ``rate`` in Hz: the recording's own, 8000 to 48000.
    """

    samples: Samples
    rate: int

    @property
    def seconds(self) -> float:
        """The duration."""
        return len(self.samples) / self.rate

    def flac(self) -> bytes:
        """Return a 16-bit FLAC file."""
        file = io.BytesIO()
        soundfile.write(file, self.samples, self.rate, format="FLAC", subtype="PCM_16")
        return file.getvalue()


def clean(content: bytes, *, param: str = "audio_sample", min_speech: float = 1.0) -> Clip:
    """Decode, check and normalize a file; ``min_speech``: the least seconds of speech.

    Raises InvalidRequest for the field ``param`` if the file is not audio or cannot be cloned, and
    Overloaded if too many files are being decoded.
    """
    try:
        return _cleaned(content, min_speech)
    except ClipRejected as error:
        raise InvalidRequest(str(error), param=param) from error


def _cleaned(content: bytes, min_speech: float) -> Clip:
    if len(content) > MAX_BYTES:
        raise ClipRejected(
            f"The file has {len(content) / 2**20:.1f} MiB; at most {MAX_BYTES >> 20} MiB are "
            "accepted. Send a shorter recording, or an mp3."
        )
    content = _without_tag(content)
    container = _container(content)
    if not _decoders.acquire(timeout=MAX_WAIT):
        raise Overloaded("Too many recordings are being decoded; try again.", retry_after=10)
    try:
        samples, rate = _decoded(content, container)
    finally:
        _decoders.release()
    return Clip(normalize_clip(samples, rate, min_speech), rate)


def _without_tag(content: bytes) -> bytes:
    """Return a file without its ID3 tag, which may hold pictures, and without leading zeros."""
    if content[:3] == b"ID3" and len(content) >= 10:
        size = 0
        for byte in content[6:10]:
            size = size << 7 | byte & 0x7F
        content = content[10 + size :]
    return content if content[4:8] == b"ftyp" else content.lstrip(b"\0")


def _container(content: bytes) -> str:
    """Return the container by the first bytes, a key of ``decode.CODECS``.

    ffmpeg does not probe the file, since some of its demuxers open other files.  Raises
    ClipRejected, which says what was found.
    """
    head = content[:12]
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "mov"
    for magic, container in MAGIC.items():
        if head.startswith(magic):
            return container
    sync, layer = int.from_bytes(head[:2]), int.from_bytes(head[:2]) & 0b110
    if sync & 0xFFF0 == 0xFFF0 and layer == 0:
        return "aac"
    if sync & 0xFFE0 == 0xFFE0 and layer:
        return "mp3"
    raise ClipRejected(f"The file is {_describe(content)}; accepted are {ACCEPTED}.")


def _describe(content: bytes) -> str:
    """Return what a file is that is not accepted."""
    if not content:
        return "empty"
    for magic, name in NOT_ACCEPTED.items():
        if content.startswith(magic):
            return name
    try:
        content[:64].decode("ascii")
    except UnicodeDecodeError:
        return f"of an unknown type (it begins with the bytes {content[:4].hex(' ')})"
    return "a text"


def _decoded(content: bytes, container: str) -> tuple[Samples, int]:
    """Decode in a process of its own; return samples and rate.  Raises ClipRejected."""
    command = [sys.executable, "-P", decode.__file__, container]
    environ = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(
            command,
            input=content,
            capture_output=True,
            timeout=DECODE_SECONDS,
            env=environ,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ClipRejected(_damaged(f"it took more than {DECODE_SECONDS:g} s")) from error
    if done.returncode:
        logger.warning(
            "the decoder of a %s file exited with %d: %s",
            container,
            done.returncode,
            done.stderr.decode(errors="replace").strip().rpartition("\n")[2],
        )
        raise ClipRejected(_damaged(_reason(done.returncode)))
    head, _, samples = done.stdout.partition(b"\n")
    result = json.loads(head)
    if "rejected" in result:
        raise ClipRejected(result["rejected"])
    return np.frombuffer(samples, np.float32), result["rate"]


def _reason(code: int) -> str:
    if -code in (signal.SIGKILL, signal.SIGXCPU):
        return "it took too long"
    return f"by signal {-code}" if code < 0 else "it exceeded its limits"


def _damaged(reason: str) -> str:
    return f"The file is damaged: its decoder was stopped ({reason}). Send it as wav or mp3."
