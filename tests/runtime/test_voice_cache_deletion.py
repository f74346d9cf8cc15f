"""A deleted voice leaves nothing of its clip in the voice cache, in memory or on disk."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxcpm_openai import Voice
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.voices import VoiceStore

KIND = "voxcpm2"

Kinds = Callable[[str], VoxCPM]


def flac(pitch: float) -> bytes:
    file = io.BytesIO()
    samples = 0.3 * np.sin(np.arange(12_000) / 24_000 * 2 * np.pi * pitch)
    soundfile.write(file, samples, 24_000, format="FLAC")
    return file.getvalue()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def store(settings: Settings) -> VoiceStore:
    return VoiceStore(DataFolder(settings.data_folder), settings)


@pytest.fixture
def cache(model: Kinds, settings: Settings) -> VoiceCache:
    """The cache as the voxcpm engine creates it."""
    return VoiceCache(model(KIND), KIND, settings.cache_folder / "prompts")


@pytest.fixture
def encoded(model: Kinds, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the clips that were encoded."""
    calls: list[int] = []
    encode = type(model(KIND)).encode

    def spy(self, samples, **kwargs):
        calls.append(len(samples))
        return encode(self, samples, **kwargs)

    monkeypatch.setattr(type(model(KIND)), "encode", spy)
    return calls


def clip_of(voice: Voice) -> Path:
    assert voice.audio is not None
    return voice.audio


def cached_files(settings: Settings) -> list[Path]:
    return list((settings.cache_folder / "prompts").glob("*"))


def test_a_deleted_voice_is_dropped_on_disk_and_in_memory(
    store: VoiceStore, cache: VoiceCache, settings: Settings, encoded: list[int]
) -> None:
    voice = store.add("one", flac(220), principal=OPERATOR)
    other = store.add("other", flac(330), principal=OPERATOR)
    cache.get(clip_of(voice))
    cache.get(clip_of(other))
    assert len(cached_files(settings)) == 2
    store.remove(voice.id, OPERATOR)
    assert len(cached_files(settings)) == 1
    cache.get(clip_of(other))  # cached; this lookup drops clips whose files are gone
    assert len(encoded) == 2
    cache.get(clip_of(store.add("again", flac(220), principal=OPERATOR)))
    assert len(encoded) == 3  # nothing of the first clip was left


def test_a_clip_stays_in_memory_while_one_of_its_files_exists(
    store: VoiceStore, cache: VoiceCache, encoded: list[int]
) -> None:
    one, same = (store.add(name, flac(220), principal=OPERATOR) for name in ("one", "same"))
    assert cache.get(clip_of(one)) is cache.get(clip_of(same))
    store.remove(one.id, OPERATOR)
    cache.get(clip_of(same))
    assert len(encoded) == 1


def test_a_voice_deleted_during_encoding_leaves_nothing(
    store: VoiceStore,
    model: Kinds,
    cache: VoiceCache,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    voice = store.add("one", flac(220), principal=OPERATOR)
    encode = type(model(KIND)).encode

    def encode_and_delete(self, samples, **kwargs) -> torch.Tensor:
        latents: torch.Tensor = encode(self, samples, **kwargs)
        store.remove(voice.id, OPERATOR)
        return latents

    monkeypatch.setattr(type(model(KIND)), "encode", encode_and_delete)
    cache.get(clip_of(voice))
    assert cached_files(settings) == []
