"""The embedded engine: English by hibari, Mandarin and Spanish by Kokoro, on a CPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from voxcpm_openai import (
    Engine,
    EngineSpec,
    Preset,
    Settings,
    SettingsError,
    available_cores,
    hookimpl,
    plugin_settings,
    setting,
)
from voxcpm_openai.embedded.engine import EmbeddedEngine, capabilities

if TYPE_CHECKING:
    from voxcpm_openai.embedded.kokoro.speaker import KokoroSynthesizer
    from voxcpm_openai.embedded.phonemes import Phonemizer

EMBEDDED, HIBARI, KOKORO = "embedded", "hibari", "kokoro"
PACKAGES = ("hibari-tts", "kokorog2p", "misaki", "pypinyin", "piper-plus-g2p")
"""Those that the sound depends on."""


@plugin_settings("kokoro")
class KokoroSettings:
    """The settings of Kokoro."""

    model: Path | None = setting(
        None, "A folder with Kokoro's network as `.onnx`, instead of the installed packages."
    )
    idle: int = setting(
        900, "Seconds without use after which Kokoro's network is unloaded. 0: never.", min=0
    )


def network_missing(settings: Settings) -> str | None:
    """Return what Kokoro's network lacks, or None."""
    from voxcpm_openai.embedded.kokoro import model

    return model.missing(settings.of(KokoroSettings).model)


def languages_missing(settings: Settings) -> dict[str, str]:
    """Return what is missing for each language of Kokoro's that cannot be spoken."""
    from voxcpm_openai.embedded import mandarin, spanish
    from voxcpm_openai.embedded.kokoro import model

    found = {}
    for language, (extra, name) in {
        "zh": ("mandarin", mandarin.missing()),
        "es": ("spanish", spanish.missing()),
    }.items():
        if name:
            install = model.INSTALL.format(extra=extra)
            found[language] = f"The package {name} is missing: {install}"
        elif reason := model.missing(settings.of(KokoroSettings).model, extra):
            found[language] = reason
    return found


def languages(settings: Settings) -> tuple[str, ...]:
    """Return the languages that can be spoken, English first."""
    missing = languages_missing(settings)
    return ("en", *(language for language in ("zh", "es") if language not in missing))


def hibari_missing(_settings: Settings) -> str | None:
    """Return which package of hibari is missing, or None."""
    for package in ("hibari", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"The package {package} is missing: pip install hibari-tts==0.2.1"
    return None


def start(settings: Settings) -> Engine:
    """Load hibari.  Kokoro is loaded at the first request that it speaks."""
    from voxcpm_openai.embedded.hibari import HibariSynthesizer, load

    english = HibariSynthesizer(load(), settings.threads or available_cores())
    if network_missing(settings):
        return _versioned(EmbeddedEngine({"en": [english]}, EMBEDDED))
    kokoro = _kokoro(settings, english.phonemize)
    others = {language: [kokoro] for language in languages(settings) if language != "en"}
    return _versioned(EmbeddedEngine({"en": [english, kokoro], **others}, EMBEDDED))


def start_kokoro(settings: Settings) -> Engine:
    """Load Kokoro, for English, too."""
    from voxcpm_openai.embedded.hibari import HibariSynthesizer, load

    kokoro = _kokoro(settings, HibariSynthesizer(load(), 1).phonemize)
    kokoro.warm()
    engine = EmbeddedEngine({language: [kokoro] for language in languages(settings)}, KOKORO)
    return _versioned(engine)


def _versioned(engine: Engine) -> Engine:
    """Tell the versions of the packages that make the sound."""
    found = []
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    engine.version = ", ".join(found)
    return engine


def _kokoro(settings: Settings, english: Phonemizer) -> KokoroSynthesizer:
    from voxcpm_openai.embedded.kokoro.speaker import KokoroSynthesizer

    own = settings.of(KokoroSettings)
    threads = settings.threads or available_cores()
    return KokoroSynthesizer(own.model, threads, own.idle, english)


@hookimpl
def register_engines(settings: Settings) -> list[EngineSpec]:
    """Offer the embedded engine, and the one that speaks English by Kokoro, too."""
    try:
        missing = languages_missing(settings)
        spoken = languages(settings)
    except SettingsError:  # reported with all other settings
        missing, spoken = {}, ("en",)
    return [
        EngineSpec(
            EMBEDDED,
            start,
            hibari_missing,
            priority=50,
            settings=KokoroSettings,
            install_hint=(
                "English on any CPU, and Mandarin and Spanish with: pip install "
                "'voxcpm-openai[mandarin,spanish]'"
            ),
            aliases=(HIBARI,),
            voice_options=(HIBARI, KOKORO),
            more_languages=missing,
            capabilities=capabilities(spoken),
        ),
        EngineSpec(
            KOKORO,
            start_kokoro,
            lambda settings: hibari_missing(settings) or network_missing(settings),
            settings=KokoroSettings,
            install_hint=(
                "English, Mandarin and Spanish on a CPU in about a third of real time: pip "
                "install 'voxcpm-openai[mandarin,spanish]', VOXCPM_ENGINE=kokoro"
            ),
            more_languages=missing,
            capabilities=capabilities(spoken),
        ),
    ]


@hookimpl
def register_presets() -> list[Preset]:
    """Offer the model ids that name these engines."""
    return [Preset(EMBEDDED, EMBEDDED), Preset(HIBARI, EMBEDDED), Preset(KOKORO, KOKORO)]
