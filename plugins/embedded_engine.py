"""The embedded engine: English by hibari, Mandarin by Kokoro, on a CPU."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from voxcpm_openai import (
    Engine,
    EngineSpec,
    Preset,
    Settings,
    SettingsError,
    hookimpl,
    plugin_settings,
    setting,
)
from voxcpm_openai.embedded.engine import EmbeddedEngine, capabilities

if TYPE_CHECKING:
    from voxcpm_openai.embedded.kokoro.speaker import KokoroSynthesizer
    from voxcpm_openai.embedded.phonemes import Phonemizer

EMBEDDED, HIBARI, KOKORO = "embedded", "hibari", "kokoro"


@plugin_settings("kokoro")
class KokoroSettings:
    """The settings of Kokoro."""

    model: Path | None = setting(
        None, "A folder with Kokoro's network as `.onnx`, instead of the installed packages."
    )
    idle: int = setting(
        900, "Seconds without use after which Kokoro's network is unloaded. 0: never.", min=0
    )


def kokoro_missing(settings: Settings) -> str | None:
    """Return what Kokoro lacks for Mandarin, or None."""
    from voxcpm_openai.embedded.kokoro import model
    from voxcpm_openai.embedded.mandarin import missing

    if name := missing():
        return f"The package {name} is missing: pip install 'voxcpm-openai[mandarin]'"
    return model.missing(settings.of(KokoroSettings).model)


def hibari_missing(_settings: Settings) -> str | None:
    """Return which package of hibari is missing, or None."""
    for package in ("hibari", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"The package {package} is missing: pip install hibari-tts==0.2.1"
    return None


def start(settings: Settings) -> Engine:
    """Load hibari.  Kokoro is loaded at the first request in Mandarin."""
    from voxcpm_openai.embedded.hibari import HibariSynthesizer, load

    english = HibariSynthesizer(load(), settings.threads or os.cpu_count() or 1)
    if kokoro_missing(settings):
        return EmbeddedEngine({"en": [english]}, EMBEDDED)
    kokoro = _kokoro(settings, english.phonemize)
    return EmbeddedEngine({"en": [english, kokoro], "zh": [kokoro]}, EMBEDDED)


def start_kokoro(settings: Settings) -> Engine:
    """Load Kokoro, for English, too."""
    from voxcpm_openai.embedded.hibari import HibariSynthesizer, load

    kokoro = _kokoro(settings, HibariSynthesizer(load(), 1).phonemize)
    kokoro.warm()
    return EmbeddedEngine({"en": [kokoro], "zh": [kokoro]}, KOKORO)


def _kokoro(settings: Settings, english: Phonemizer) -> KokoroSynthesizer:
    from voxcpm_openai.embedded.kokoro.speaker import KokoroSynthesizer

    own = settings.of(KokoroSettings)
    threads = settings.threads or os.cpu_count() or 1
    return KokoroSynthesizer(own.model, threads, own.idle, english)


@hookimpl
def register_engines(settings: Settings) -> list[EngineSpec]:
    """Offer the embedded engine, and the one that speaks English by Kokoro, too."""
    try:
        missing = kokoro_missing(settings)
    except SettingsError:  # reported with all other settings
        missing = "a setting is wrong"
    languages = ("en",) if missing else ("en", "zh")
    return [
        EngineSpec(
            EMBEDDED,
            start,
            hibari_missing,
            priority=50,
            settings=KokoroSettings,
            install_hint=(
                "English on any CPU, and Mandarin with: pip install 'voxcpm-openai[mandarin]'"
            ),
            aliases=(HIBARI,),
            voice_options=(HIBARI, KOKORO),
            capabilities=capabilities(languages),
        ),
        EngineSpec(
            KOKORO,
            start_kokoro,
            lambda settings: hibari_missing(settings) or kokoro_missing(settings),
            settings=KokoroSettings,
            install_hint=(
                "English and Mandarin on a CPU in about a third of real time: pip install "
                "'voxcpm-openai[mandarin]', VOXCPM_ENGINE=kokoro"
            ),
            capabilities=capabilities(("en", "zh")),
        ),
    ]


@hookimpl
def register_presets() -> list[Preset]:
    """Offer the model ids that name these engines."""
    return [Preset(EMBEDDED, EMBEDDED), Preset(HIBARI, EMBEDDED), Preset(KOKORO, KOKORO)]
