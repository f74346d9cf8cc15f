"""Voices from folders: the stock ones, and the user's own (``VOXCPM_VOICES_DIR``).

A voice is ``<id>.toml`` with its name and settings, and for engines that clone a reference clip
``<id>.flac`` beside it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from voxcpm_openai import PluginError, Settings, Voice, hookimpl

STOCK = Path(__file__).parent.parent / "voices"
"""In a checkout and in the wheel alike, ``voices/`` lies beside ``plugins/``."""

TEXTS = ("name", "transcript", "description", "language", "licence", "provenance")


@hookimpl
def register_voices() -> list[Voice]:
    """Give the stock voices."""
    return read_folder(STOCK)


# A user's voice wins over every plugin's: tried first, folded last.
@hookimpl(specname="register_voices", tryfirst=True)
def register_users_voices(settings: Settings) -> list[Voice]:
    """Give the voices of the user's folder."""
    return [] if settings.voices_dir is None else read_folder(settings.voices_dir)


def read_folder(folder: Path) -> list[Voice]:
    """Read every ``*.toml`` in a folder as a voice.  Raises PluginError, naming file and fault."""
    return [read_voice(path) for path in sorted(folder.glob("*.toml"))]


def read_voice(path: Path) -> Voice:
    """Read one voice; its id is the file's stem, its clip the ``.flac`` beside it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PluginError(f"{path}: {error}") from error
    options = table.pop("options", {})
    if unknown := sorted(set(table) - set(TEXTS)):
        raise PluginError(
            f"{path}: {unknown[0]!r} is not a key of a voice; there are {', '.join(TEXTS)} "
            "and tables [options.<engine>]."
        )
    for key, value in table.items():
        if not isinstance(value, str):
            raise PluginError(f"{path}: {key} = {value!r} is not a text.")
    if not isinstance(options, dict) or not all(isinstance(o, dict) for o in options.values()):
        raise PluginError(f"{path}: options are tables by engine: [options.hibari].")
    clip = path.with_suffix(".flac")
    if not clip.is_file() and not options:
        raise PluginError(f"{path}: has neither a clip {clip.name} nor [options.<engine>].")
    return Voice(
        id=path.stem,
        audio=clip if clip.is_file() else None,
        options=options,
        **{"name": path.stem, **table},
    )
