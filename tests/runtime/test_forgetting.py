"""A voice that is deleted leaves nothing of its clip behind: in memory, nor on disk."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxcpm_openai import Voice
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.store import Store

KIND = "voxcpm2"

Kinds = Callable[[str], VoxCPM]


def flac(pitch: float) -> bytes:
    file = io.BytesIO()
    sound = 0.3 * np.sin(np.arange(12_000) / 24_000 * 2 * np.pi * pitch)
    soundfile.write(file, sound, 24_000, format="FLAC")
    return file.getvalue()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(Data(settings.data_folder), settings)


@pytest.fixture
def prompts(model: Kinds, settings: Settings) -> Prompts:
    """As the voxcpm engine makes them."""
    return Prompts(model(KIND), KIND, settings.cache_folder / "prompts")


@pytest.fixture
def encoded(model: Kinds, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The clips that were encoded."""
    calls: list[int] = []
    encode = type(model(KIND)).encode

    def noted(self, samples, **kwargs):  # type: ignore[no-untyped-def]
        calls.append(len(samples))
        return encode(self, samples, **kwargs)

    monkeypatch.setattr(type(model(KIND)), "encode", noted)
    return calls


def clip_of(voice: Voice) -> Path:
    assert voice.audio is not None
    return voice.audio


def kept_on_disk(settings: Settings) -> list[Path]:
    return list((settings.cache_folder / "prompts").glob("*"))


def test_a_deleted_voice_is_forgotten_on_disk_and_in_memory(
    store: Store, prompts: Prompts, settings: Settings, encoded: list[int]
) -> None:
    voice = store.add("one", flac(220), owner=None)
    other = store.add("other", flac(330), owner=None)
    prompts.get(clip_of(voice))
    prompts.get(clip_of(other))
    assert len(kept_on_disk(settings)) == 2
    store.remove(voice.id, None)
    assert len(kept_on_disk(settings)) == 1
    prompts.get(clip_of(other))  # kept, and a chance to look whose files are gone
    assert len(encoded) == 2
    prompts.get(clip_of(store.add("again", flac(220), owner=None)))
    assert len(encoded) == 3  # nothing of the first was left


def test_a_clip_stays_in_memory_while_one_of_its_files_is_there(
    store: Store, prompts: Prompts, encoded: list[int]
) -> None:
    one, same = (store.add(name, flac(220), owner=None) for name in ("one", "same"))
    assert prompts.get(clip_of(one)) is prompts.get(clip_of(same))
    store.remove(one.id, None)
    prompts.get(clip_of(same))
    assert len(encoded) == 1


def test_a_voice_that_is_deleted_while_it_is_encoded_leaves_nothing(
    store: Store,
    model: Kinds,
    prompts: Prompts,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    voice = store.add("one", flac(220), owner=None)
    encode = type(model(KIND)).encode

    def overtaken(self, samples, **kwargs) -> torch.Tensor:  # type: ignore[no-untyped-def]
        latents: torch.Tensor = encode(self, samples, **kwargs)
        store.remove(voice.id, None)
        return latents

    monkeypatch.setattr(type(model(KIND)), "encode", overtaken)
    prompts.get(clip_of(voice))
    assert kept_on_disk(settings) == []
