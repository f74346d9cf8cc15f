"""Transcription of clips without a transcript: the choice of a transcriber, and its errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import numpy as np
import pytest

from tests.support.recordings import RATE, stock
from tests.support.stock import load_plugin
from voxcpm_openai import Samples, Settings, Transcriber, TranscriberSpec
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.registry import load_registry
from voxcpm_openai.setting_sources import RawSettings
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.intake.transcribe import ClipTranscriber

CLIP = Clip(stock(), RATE)


@dataclass
class Parrot:
    """Returns a fixed transcript and records its calls."""

    transcript: str = "Polly wants a cracker."
    reason: str | None = None
    started: int = 0
    calls: list[tuple[int, int, str]] = field(default_factory=list)

    def start(self, settings: Settings) -> Transcriber:
        self.started += 1
        return self

    def unavailable_reason(self, settings: Settings) -> str | None:
        return self.reason

    def transcribe(self, samples: Samples, rate: int, language: str) -> str:
        self.calls.append((len(samples), rate, language))
        return self.transcript


def transcriber_of(**parrots: Parrot) -> ClipTranscriber:
    specs = {
        name: TranscriberSpec(name, parrot.start, parrot.unavailable_reason)
        for name, parrot in parrots.items()
    }
    return ClipTranscriber(specs, Settings())


def test_the_transcriber_gets_the_clip_and_its_language() -> None:
    parrot = Parrot("  Hello there. ")
    assert transcriber_of(polly=parrot).transcribe(CLIP, "en") == "Hello there."
    assert parrot.calls == [(len(CLIP.samples), RATE, "en")]


def test_a_transcriber_is_started_once_and_late(pool: ThreadPoolExecutor) -> None:
    parrot = Parrot()
    transcriber = transcriber_of(polly=parrot)
    assert parrot.started == 0  # not needed yet
    assert len(set(pool.map(transcriber.transcribe, [CLIP] * 16))) == 1
    assert parrot.started == 1


def test_the_last_available_transcriber_is_used() -> None:
    transcriber = transcriber_of(
        stock=Parrot("stock"), mine=Parrot("mine"), ill=Parrot(reason="is ill.")
    )
    assert transcriber.transcribe(CLIP) == "mine"


def test_the_error_names_why_each_transcriber_is_unavailable() -> None:
    with pytest.raises(InvalidRequest) as caught:
        transcriber_of(polly=Parrot(reason="is ill."), lora=Parrot(reason="is out.")).transcribe(
            CLIP
        )
    assert (caught.value.status, caught.value.param) == (400, "transcript")
    assert "lora: is out. polly: is ill." in caught.value.message
    assert "'transcript' is required" in caught.value.message


def test_an_empty_transcript_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="No words were recognized") as caught:
        transcriber_of(polly=Parrot(" ")).transcribe(CLIP)
    assert caught.value.param == "transcript"


def test_a_plugin_can_add_a_transcriber(tmp_path: Path) -> None:
    source = """
        from voxcpm_openai import TranscriberSpec, hookimpl

        class Counter:
            def transcribe(self, samples, rate, language):
                return f"{len(samples) / rate:.1f} s of {language}"

        @hookimpl
        def register_transcribers():
            return [TranscriberSpec("counter", lambda settings: Counter(), lambda settings: None)]
        """
    (tmp_path / "counter.py").write_text(dedent(source))
    settings = Settings(plugins_dir=tmp_path)
    registry = load_registry(settings)
    assert list(registry.transcribers) == ["whisper", "counter"]
    assert ClipTranscriber(registry.transcribers, settings).transcribe(CLIP, "de") == "5.6 s of de"


# The whisper plugin, with its packages replaced


@pytest.fixture
def whisper(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Load the plugin without faster-whisper, and with an empty hub cache."""
    hub = ModuleType("huggingface_hub")

    def snapshot_download(model: str, *, local_files_only: bool) -> str:
        assert local_files_only
        raise FileNotFoundError(model)

    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    plugin = load_plugin("whisper_transcriber")
    monkeypatch.setattr(plugin.importlib.util, "find_spec", lambda name: None)
    yield plugin
    del sys.modules[plugin.__name__]


def test_without_its_package_whisper_names_the_command_to_install_it(whisper: ModuleType) -> None:
    assert "pip install 'voxcpm-openai[transcribe]'" in whisper.unavailable_reason(Settings())


def test_without_a_model_whisper_names_the_command_to_download_it(
    whisper: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whisper.importlib.util, "find_spec", lambda name: object())
    assert "`hf download Systran/faster-whisper-small`" in whisper.unavailable_reason(Settings())
    environ = {"VOXCPM_TRANSCRIBER_MODEL": str(tmp_path)}
    settings = Settings(raw=RawSettings(environ=environ))
    assert "lacks config.json, model.bin, tokenizer.json" in whisper.unavailable_reason(settings)
    for name in whisper.FILES:
        (tmp_path / name).touch()
    assert whisper.unavailable_reason(settings) is None


def test_whisper_gets_16_khz_and_detects_a_language_that_it_does_not_support(
    whisper: ModuleType,
) -> None:
    class Part:
        text = " Hello"

    class Model:
        supported_languages = ("en", "zh")

        def transcribe(self, samples: Samples, **options: object) -> tuple[list[Part], None]:
            assert samples.dtype == np.float32
            assert len(samples) == pytest.approx(CLIP.seconds * 16_000, abs=1)
            languages.append(options["language"])
            return [Part(), Part()], None

    languages: list[object] = []
    transcriber = whisper.Whisper(Model())
    for language in ("zh", "tlh", ""):
        assert transcriber.transcribe(CLIP.samples, CLIP.rate, language) == " Hello Hello"
    assert languages == ["zh", None, None]
