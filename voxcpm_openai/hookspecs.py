"""The hooks that a plugin may implement: functions that return lists.

Every hook may take ``settings``.  If two plugins give the same id, the later one wins: stock
plugins, then installed packages (entry point group ``voxcpm_openai``), then the user's folder.
"""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from voxcpm_openai.contracts import (
    EngineSpec,
    Normalizer,
    Preset,
    TranscriberSpec,
    Voice,
)
from voxcpm_openai.formats import AudioFormat
from voxcpm_openai.settings import Settings

PROJECT = "voxcpm_openai"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_voices(settings: Settings) -> list[Voice]:
    """Return voices, which clients may name in ``voice``."""


@hookspec
def register_voice_finders(
    settings: Settings,
) -> list[Callable[[str], Voice | None]]:
    """Return functions that are asked for the voice of an id that no voice has, such as a mix.

    They return None for an id that is not theirs, and raise InvalidRequest for one that is wrong.
    """


@hookspec
def register_presets(settings: Settings) -> list[Preset]:
    """Return model ids, which clients may name in ``model``."""


@hookspec
def register_encoders(settings: Settings) -> list[AudioFormat]:
    """Return audio formats, which clients may name in ``response_format``."""


@hookspec
def register_engines(settings: Settings) -> list[EngineSpec]:
    """Return engines, which ``VOXCPM_ENGINE`` may name."""


@hookspec
def register_transcribers(settings: Settings) -> list[TranscriberSpec]:
    """Return transcribers, for clips without a transcript; the last available one is used."""


@hookspec
def register_normalizers(settings: Settings) -> list[Normalizer]:
    """Return what turns the written forms of a language into words, one for each language."""
