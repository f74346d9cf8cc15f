"""Reading the clips of voices: files that must be audio, also if somebody has changed them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import soundfile

from voxcpm_openai.files import FileRefused, read_file

MAX_BYTES = 32 * 1024 * 1024
"""The largest clip."""
MAX_SECONDS = 300.0
"""The longest clip.  A header of a few bytes can announce hours, for which memory is taken."""
MAX_CHANNELS = 8

MEDIA_TYPES = {
    "FLAC": "audio/flac",
    "WAV": "audio/wav",
    "WAVEX": "audio/wav",
    "RF64": "audio/wav",
    "OGG": "audio/ogg",
    "MP3": "audio/mpeg",
    "MPEG": "audio/mpeg",
    "AIFF": "audio/aiff",
    "CAF": "audio/x-caf",
}
"""Media types by soundfile's names of formats; those of no other format are clips."""


class ClipFile(NamedTuple):
    """The bytes of an audio file, and the media type that they have, whatever its name is."""

    content: bytes
    media_type: str


def read_clip_file(path: Path) -> ClipFile:
    """Return a voice's clip, which is in the folder of ``path`` and is audio.

    Raises FileRefused, and OSError if the file cannot be read.  The messages are for the log: they
    contain the path.
    """
    content = read_file(path, MAX_BYTES, folder=path.parent)
    return ClipFile(content, _media_type(path, content))


def _media_type(path: Path, content: bytes) -> str:
    try:
        found = soundfile.info(io.BytesIO(content))
    except soundfile.LibsndfileError as error:
        raise FileRefused(f"{path} is not audio. Put a recording there, as flac or wav.") from error
    if found.format not in MEDIA_TYPES:
        raise FileRefused(f"{path} is a {found.format} file. Put a flac or wav file there.")
    if not found.frames:
        raise FileRefused(f"{path} is empty audio. Put a recording there, as flac or wav.")
    if found.duration > MAX_SECONDS or found.channels > MAX_CHANNELS:
        raise FileRefused(
            f"{path} has {found.duration:.0f} s of audio in {found.channels} channels; at most "
            f"{MAX_SECONDS:.0f} s in {MAX_CHANNELS} are read. Put a shorter recording there."
        )
    return MEDIA_TYPES[found.format]
