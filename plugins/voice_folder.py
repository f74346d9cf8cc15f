"""Voices from folders: the stock ones, and the user's own (``VOXCPM_VOICES_DIR``).

A voice is ``<id>.toml`` with its name and settings, and for engines that clone a reference clip,
``<id>.flac`` in the same folder.  Links that lead out of the user's folder are refused.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import tomllib
from pathlib import Path

from voxcpm_openai import (
    FileRefused,
    PluginError,
    Settings,
    Voice,
    hookimpl,
    read_clip_file,
    read_file,
)

logger = logging.getLogger(__name__)

STOCK = Path(__file__).parent.parent / "voices"
"""In a checkout and in the wheel, ``voices/`` and ``plugins/`` have the same parent."""

TEXTS = ("name", "transcript", "description", "language", "license", "provenance")
MAX_BYTES = 1024 * 1024
"""The largest TOML file of a voice."""
OLD_NAMES = {"licence": "license"}
"""Keys that are still read, with a warning."""


@hookimpl
def register_voices() -> list[Voice]:
    """Return the stock voices, whose samples anybody may hear."""
    # Package managers install files as links to other folders; nobody else writes there.
    voices = [read_voice(path) for path in sorted(STOCK.glob("*.toml"))]
    return [dataclasses.replace(voice, public=True) for voice in voices]


# A user's voice replaces every plugin's: pluggy lists it first, and the last item is kept.
@hookimpl(specname="register_voices", tryfirst=True)
def register_users_voices(settings: Settings) -> list[Voice]:
    """Return the voices of the user's folder."""
    return [] if settings.voices_dir is None else read_folder(settings.voices_dir)


def read_folder(folder: Path) -> list[Voice]:
    """Read every ``*.toml`` in a folder as a voice.  Raises PluginError with file and reason."""
    return [read_voice(path, folder) for path in sorted(folder.glob("*.toml"))]


def read_voice(path: Path, folder: Path | None = None) -> Voice:
    """Read one voice: its id is the stem of the file, its clip the ``.flac`` of the same name.

    With a ``folder``, its files must be in it, also where they are links.  Raises PluginError.
    """
    try:
        content = read_file(path, MAX_BYTES, folder=folder)
        table = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise PluginError(_reason(path, error)) from error
    except (ValueError, RecursionError) as error:
        raise PluginError(f"{path} is not TOML: {error}") from error
    clip = _clip(path.with_suffix(".flac"), folder)
    for old, new in OLD_NAMES.items():
        if old in table:
            logger.warning("%s: the key %r is now called %r", path, old, new)
            table.setdefault(new, table.pop(old))
    options = table.pop("options", {})
    lexicon = table.pop("lexicon", {})
    if unknown := sorted(set(table) - set(TEXTS)):
        raise PluginError(
            f"{path}: {unknown[0]!r} is not a key of a voice; there are {', '.join(TEXTS)} "
            "and tables [options.<engine>] and [lexicon]."
        )
    for key, value in table.items():
        if not isinstance(value, str):
            raise PluginError(f"{path}: {key} = {value!r} is not a text.")
    if not isinstance(options, dict) or not all(isinstance(o, dict) for o in options.values()):
        raise PluginError(f"{path}: options are tables by engine: [options.hibari].")
    if not isinstance(lexicon, dict):
        raise PluginError(f"{path}: lexicon is a table: [lexicon].")
    for text, value in lexicon.items():
        if not isinstance(value, str | dict):
            raise PluginError(
                f"{path}: [lexicon] {text!r} = {value!r} is neither a text nor a table such as "
                '{ipa = "wɪn"}.'
            )
    if clip is None and not options:
        raise PluginError(f"{path}: has neither a clip {path.stem}.flac nor [options.<engine>].")
    return Voice(
        id=path.stem,
        audio=clip,
        options=options,
        lexicon=lexicon,
        **{"name": path.stem, **table},
    )


def _clip(path: Path, folder: Path | None) -> Path | None:
    """Return the path of a clip, or None if there is none.  Raises PluginError."""
    if not os.path.lexists(path):
        return None
    try:
        if folder is not None:  # the stock clips are checked by tests
            read_clip_file(path)
    except OSError as error:
        raise PluginError(_reason(path, error)) from error
    return path


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, FileRefused):  # which names the file
        return str(error)
    return f"{path} cannot be read: {error.strerror}"
