"""The voice cache: each clip is encoded once, in memory and on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxcpm_openai import InvalidRequest
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.device.voice_cache import VoiceCache, latents_name
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.tiny_checkpoints import KINDS

Kinds = Callable[[str], VoxCPM]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.flac"
    samples = 0.3 * np.sin(np.arange(24_000) / 24_000 * 2 * np.pi * 220)
    soundfile.write(path, samples, 24_000)
    return path


def count_encodings(model: VoxCPM, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the length of each clip that the model encodes."""
    calls: list[int] = []
    encode = type(model).encode

    def spy(self, samples, **kwargs):
        calls.append(len(samples))
        return encode(self, samples, **kwargs)

    monkeypatch.setattr(type(model), "encode", spy)
    return calls


def test_a_clip_is_encoded_once_for_concurrent_requests(
    kind: str, model: Kinds, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_encodings(model(kind), monkeypatch)
    cache = VoiceCache(model(kind), kind)
    threads = [threading.Thread(target=cache.get, args=(clip,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(calls) == 1
    assert calls[0] == pytest.approx(model(kind).encoder_rate, abs=2)


def test_the_folder_caches_clips_by_content_and_model(
    kind: str, model: Kinds, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_encodings(model(kind), monkeypatch)
    folder = tmp_path / "cache"
    first = VoiceCache(model(kind), kind, folder).get(clip)
    second = VoiceCache(model(kind), kind, folder).get(clip)
    assert torch.equal(first.latents, second.latents)
    assert len(calls) == 1
    VoiceCache(model(kind), "another model", folder).get(clip)
    assert len(calls) == 2
    soundfile.write(clip, np.zeros(12_000), 24_000)
    VoiceCache(model(kind), kind, folder).get(clip)
    assert len(calls) == 3


def test_on_a_cpu_a_change_of_dtype_encodes_no_clip_again(
    kind: str,
    checkpoint: Callable[[str], Path],
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, found = checkpoint(kind), []
    models = [load_model(folder, "cpu", dtype) for dtype in ("float32", "bfloat16")]
    calls = count_encodings(models[0], monkeypatch)
    for model, dtype in zip(models, ("float32", "bfloat16"), strict=True):
        exact = VoiceCache(model, "unnamed").get(clip).latents
        name = latents_name(folder, model.device, dtype)
        found.append(VoiceCache(model, name, tmp_path / "cache").get(clip).latents)
        assert torch.equal(found[-1], exact)
    assert torch.equal(*found)
    assert len(calls) == 3, "two without a folder, one with it"


def test_a_gpu_that_rounds_has_latents_of_its_own() -> None:
    folder, gpu = Path("model"), torch.device("cuda")
    names = {latents_name(folder, gpu, dtype) for dtype in ("float32", "bfloat16")}
    assert len(names) == 2


def test_a_truncated_file_is_encoded_again(
    kind: str, model: Kinds, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    first = VoiceCache(model(kind), kind, folder).get(clip)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:50])
    second = VoiceCache(model(kind), kind, folder).get(clip)
    assert torch.equal(second.latents, first.latents)


@pytest.mark.parametrize("content", [b"", b"no audio", None])
def test_a_clip_without_audio_is_an_invalid_request(
    kind: str, model: Kinds, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "clip.flac"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest) as caught:
        VoiceCache(model(kind), kind).get(path)
    assert caught.value.param == "voice"
