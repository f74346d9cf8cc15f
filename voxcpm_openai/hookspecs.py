"""The hooks that a plugin may implement: five functions that return lists.

Every hook takes ``settings``, or leaves the argument out.  Later plugins win over earlier ones
that give the same id: stock, then installed packages (entry point group ``voxcpm_openai``), then
the user's folder.
"""

from __future__ import annotations

import pluggy

from voxcpm_openai.contracts import AudioFormat, EngineSpec, Preset, TranscriberSpec, Voice
from voxcpm_openai.settings import Settings

PROJECT = "voxcpm_openai"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_voices(settings: Settings) -> list[Voice]:  # type: ignore[empty-body]
    """Voices that clients may name in ``voice``."""


@hookspec
def register_presets(settings: Settings) -> list[Preset]:  # type: ignore[empty-body]
    """Model ids that clients may name in ``model``."""


@hookspec
def register_encoders(settings: Settings) -> list[AudioFormat]:  # type: ignore[empty-body]
    """Formats that clients may name in ``response_format``."""


@hookspec
def register_engines(settings: Settings) -> list[EngineSpec]:  # type: ignore[empty-body]
    """Engines that ``VOXCPM_ENGINE`` may name."""


@hookspec
def register_transcribers(settings: Settings) -> list[TranscriberSpec]:  # type: ignore[empty-body]
    """Transcribers, for clips that are sent without their words; the last that can run is used."""
