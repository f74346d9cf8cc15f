"""The key of a speech in the cache: a hash of everything that its bytes depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from voxcpm_openai import __version__
from voxcpm_openai.clips import MAX_BYTES
from voxcpm_openai.contracts import Utterance
from voxcpm_openai.files import read_file
from voxcpm_openai.speech_request import OutputSpec

NOT_AUDIBLE = frozenset({"ignored"})
"""Fields of an output spec that affect only a header, not the bytes of the body."""

Stamp = tuple[int, ...]


class ClipHashes:
    """The hashes of the clips of voices, cached as long as the files do not change."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Stamp, str]] = {}

    def get(self, clip: Path) -> str:
        """Return the SHA-256 of a clip's content.  Raises OSError if it cannot be read."""
        stat = clip.stat()
        stamp = stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino, stat.st_dev
        known = self._known.get(clip)
        if known is None or known[0] != stamp:
            content = read_file(clip, MAX_BYTES, folder=clip.parent)
            known = self._known[clip] = stamp, hashlib.sha256(content).hexdigest()
        return known[1]


def speech_key(
    engine: tuple[str, str],
    settings: object,
    utterance: Utterance,
    output: OutputSpec,
    frames: str,
    clip: str = "",
) -> str:
    """Return the key of a speech, as the stem of a file.

    ``engine``: its name and version; ``settings``: the plugin's own; ``frames``: how the audio is
    packed; ``clip``: the hash of the voice's clip.  The key begins with it, so that the entries
    of a voice can be deleted with the voice.  The voice's name, owner and time of creation are
    hashed, too, so that voices with the same clip have different keys.
    """
    voice = {f.name: getattr(utterance.voice, f.name) for f in fields(utterance.voice)}
    request = {f.name: getattr(utterance, f.name) for f in fields(utterance)}
    spec = {f.name: getattr(output, f.name) for f in fields(output) if f.name not in NOT_AUDIBLE}
    format_ = output.format
    facts = [
        __version__,
        engine,
        settings,
        {**request, "segments": list(utterance.segments), "voice": {**voice, "audio": clip}},
        {**spec, "format": [format_.name, format_.content_type]},
        frames,
    ]
    text = json.dumps(_plain(facts), ensure_ascii=True)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{clip}-{digest}" if clip else digest


def _plain(value: object) -> object:
    """Return a JSON value that is equal only for equal values."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return [
            type(value).__name__,
            _plain({f.name: getattr(value, f.name) for f in fields(value)}),
        ]
    if isinstance(value, Mapping):
        return {"mapping": sorted([repr(key), _plain(one)] for key, one in value.items())}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Collection) and not isinstance(value, bytes):
        return {"set": sorted(repr(one) for one in value)}
    return {"repr": repr(value)}
