"""The words of a clip that came without them: who finds them, and what is said when nobody can."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import numpy as np
import pytest

from tests.hearing.stock import load_plugin
from tests.recordings import RATE, stock
from voxcpm_openai import Samples, Settings, Transcriber, TranscriberSpec
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.registry import load_registry
from voxcpm_openai.voices.clip import Clip
from voxcpm_openai.voices.transcript import Transcripts

CLIP = Clip(stock(), RATE)


@dataclass
class Parrot:
    """Says what it was told to say, and what it was asked."""

    says: str = "Polly wants a cracker."
    why_not: str | None = None
    started: int = 0
    heard: list[tuple[int, int, str]] = field(default_factory=list)

    def start(self, settings: Settings) -> Transcriber:
        self.started += 1
        return self

    def available(self, settings: Settings) -> str | None:
        return self.why_not

    def transcribe(self, samples: Samples, rate: int, language: str) -> str:
        self.heard.append((len(samples), rate, language))
        return self.says


def transcripts(**parrots: Parrot) -> Transcripts:
    specs = {
        name: TranscriberSpec(name, parrot.start, parrot.available)
        for name, parrot in parrots.items()
    }
    return Transcripts(specs, Settings())


def test_the_transcriber_hears_the_clip_and_its_language() -> None:
    parrot = Parrot(says="  Hello there. ")
    assert transcripts(polly=parrot).words(CLIP, "en") == "Hello there."
    assert parrot.heard == [(len(CLIP.samples), RATE, "en")]


def test_it_is_started_once_however_many_ask(pool: ThreadPoolExecutor) -> None:
    parrot = Parrot()
    finder = transcripts(polly=parrot)
    assert parrot.started == 0  # nobody asked yet
    assert len(set(pool.map(finder.words, [CLIP] * 16))) == 1
    assert parrot.started == 1


def test_the_last_that_can_run_is_taken() -> None:
    finder = transcripts(stock=Parrot("stock"), mine=Parrot("mine"), ill=Parrot(why_not="is ill."))
    assert finder.words(CLIP) == "mine"


def test_where_none_can_run_the_reasons_are_told() -> None:
    with pytest.raises(InvalidRequest) as caught:
        transcripts(polly=Parrot(why_not="is ill."), lora=Parrot(why_not="is out.")).words(CLIP)
    assert (caught.value.status, caught.value.param) == (400, "transcript")
    assert "lora: is out. polly: is ill." in caught.value.message
    assert "in `transcript`" in caught.value.message


def test_silence_gives_no_transcript() -> None:
    with pytest.raises(InvalidRequest, match="No words were heard") as caught:
        transcripts(polly=Parrot(" ")).words(CLIP)
    assert caught.value.param == "transcript"


def test_a_plugin_gives_a_transcriber(tmp_path: Path) -> None:
    source = """
        from voxcpm_openai import TranscriberSpec, hookimpl

        class Deaf:
            def transcribe(self, samples, rate, language):
                return f"{len(samples) / rate:.1f} s of {language}"

        @hookimpl
        def register_transcribers():
            return [TranscriberSpec("deaf", lambda settings: Deaf(), lambda settings: None)]
        """
    (tmp_path / "deaf.py").write_text(dedent(source))
    settings = Settings(plugins_dir=tmp_path)
    registry = load_registry(settings)
    assert list(registry.transcribers) == ["whisper", "deaf"]
    assert Transcripts(registry.transcribers, settings).words(CLIP, "de") == "5.6 s of de"


# The stock plugin, with stand-ins for its packages


@pytest.fixture
def whisper(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The plugin, in an environment that has a hub with nothing in it and no faster-whisper."""
    hub = ModuleType("huggingface_hub")

    def snapshot_download(model: str, *, local_files_only: bool) -> str:
        assert local_files_only
        raise FileNotFoundError(model)

    hub.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    plugin = load_plugin("whisper_transcriber")
    monkeypatch.setattr(plugin.importlib.util, "find_spec", lambda name: None)
    yield plugin
    del sys.modules[plugin.__name__]


def test_without_its_package_whisper_says_how_to_get_it(whisper: ModuleType) -> None:
    assert "pip install 'voxcpm-openai[transcribe]'" in whisper.available(Settings())


def test_without_a_model_whisper_says_how_to_get_one_and_fetches_nothing(
    whisper: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whisper.importlib.util, "find_spec", lambda name: object())
    assert "`hf download Systran/faster-whisper-small`" in whisper.available(Settings())
    settings = replace(Settings(), transcriber_model=str(tmp_path))
    assert "lacks config.json, model.bin, tokenizer.json" in whisper.available(settings)
    for name in whisper.FILES:
        (tmp_path / name).touch()
    assert whisper.available(settings) is None


def test_whisper_hears_16_khz_and_guesses_a_language_that_it_does_not_know(
    whisper: ModuleType,
) -> None:
    class Part:
        text = " Hello"

    class Model:
        supported_languages = ("en", "zh")

        def transcribe(self, samples: Samples, **options: object) -> tuple[list[Part], None]:
            assert samples.dtype == np.float32
            assert len(samples) == pytest.approx(CLIP.seconds * 16_000, abs=1)
            asked.append(options["language"])
            return [Part(), Part()], None

    asked: list[object] = []
    transcriber = whisper.Whisper(Model())
    for language in ("zh", "tlh", ""):
        assert transcriber.transcribe(CLIP.samples, CLIP.rate, language) == " Hello Hello"
    assert asked == ["zh", None, None]
