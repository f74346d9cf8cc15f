"""Clips on a GPU: one thread and one stream for all, and memory that is not reused too early."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.threads import LastingThread
from voxcpm_openai.testing.tiny_checkpoints import KINDS

Kinds = Callable[[str], VoxCPM]


class FakeGPU:
    """Replaces the streams of ``torch.cuda``; ``log`` has what happened, ``threads`` who did it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self.log: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.recorded: list[torch.Tensor] = []
        patch.setattr(torch.cuda, "Stream", self._new)
        patch.setattr(torch.cuda, "stream", self._entered)
        patch.setattr(torch.cuda, "default_stream", lambda _: "the steps'")
        patch.setattr(torch.Tensor, "record_stream", lambda *given: self._record(*given))

    def _new(self, _: torch.device) -> SimpleNamespace:
        self.made += 1
        return SimpleNamespace(synchronize=lambda: self.log.append("synchronized"))

    @contextmanager
    def _entered(self, _: object) -> Iterator[None]:
        self.threads.add(threading.current_thread())
        self.log.append("begun")
        yield
        self.log.append("launched")

    def _record(self, tensor: torch.Tensor, stream: str) -> None:
        assert stream == "the steps'"
        self.recorded.append(tensor)


@pytest.fixture(name="gpu")
def _gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGPU:
    return FakeGPU(monkeypatch)


def on_gpu(model: VoxCPM, kind: str, monkeypatch: pytest.MonkeyPatch) -> VoiceCache:
    """Return a cache that believes that its model is on a GPU."""
    with monkeypatch.context() as patch:
        patch.setattr(model, "device", torch.device("cuda"))
        return VoiceCache(model, kind)


@pytest.fixture(name="clips")
def _clips(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.flac" for number in range(5)]
    for number, path in enumerate(paths):
        samples = 0.3 * np.sin(np.arange(8_000) / 24_000 * 2 * np.pi * (200 + number))
        soundfile.write(path, samples, 24_000)
    return paths


@pytest.mark.parametrize("kind", KINDS)
def test_all_clips_share_a_thread_and_a_stream(
    model: Kinds, kind: str, gpu: FakeGPU, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = on_gpu(model(kind), kind, monkeypatch)
    with ThreadPoolExecutor(len(clips)) as pool:
        voices = list(pool.map(cache.get, clips))
    assert (gpu.made, len(gpu.threads)) == (1, 1)
    assert gpu.log == ["begun", "launched", "synchronized"] * len(clips), "one after the other"
    (thread,) = gpu.threads
    assert thread.is_alive()
    assert thread.daemon
    expected = VoiceCache(model(kind), kind).get(clips[0])
    assert torch.equal(voices[0].latents, expected.latents)


@pytest.mark.parametrize("kind", KINDS)
def test_what_steps_read_is_recorded_on_their_stream(
    model: Kinds, kind: str, gpu: FakeGPU, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = on_gpu(model(kind), kind, monkeypatch).get(clips[0])
    if kind == "voxcpm2":
        assert voice.prefix is not None
        expected = [voice.prefix.kv]
    else:
        assert voice.prompt is not None
        expected = [voice.prompt.patch, voice.prompt.tokens, voice.prompt.conv_state]
    assert {id(tensor) for tensor in gpu.recorded} == {id(tensor) for tensor in expected}


def test_a_clip_that_fails_leaves_the_thread_for_the_others(
    model: Kinds,
    gpu: FakeGPU,
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = on_gpu(model("voxcpm15"), "voxcpm15", monkeypatch)
    (tmp_path / "text.flac").write_bytes(b"no audio")
    with pytest.raises(InvalidRequest):
        cache.get(tmp_path / "text.flac")
    assert cache.get(clips[0]).prompt is not None
    assert (gpu.made, len(gpu.threads)) == (1, 1)


def test_a_lasting_thread_returns_and_raises_what_its_work_does() -> None:
    lasting = LastingThread("test")

    def fail() -> None:
        raise ValueError("wrong")

    first = lasting.run(threading.current_thread)
    with pytest.raises(ValueError, match="wrong"):
        lasting.run(fail)
    assert lasting.run(threading.current_thread) is first
    assert first.name == "test"
