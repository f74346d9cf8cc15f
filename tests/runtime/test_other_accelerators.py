"""A model on an accelerator that is not NVIDIA's: the eager path, on a device that poses as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.runtime.posing_device import PosingTensor, posing
from tests.support.runtime.utterances import CLONED
from voxcpm_openai import Samples, Segment, Utterance, Voice
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device import devices, voice_cache
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine.job import Job, LengthEstimate
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.tiny_checkpoints import KINDS

ACCELERATORS = ("mps", "xpu")
Checkpoints = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _fake_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clips be encoded in the thread of the test, which alone has the device."""
    monkeypatch.setattr(voice_cache, "run_in_fresh_thread", lambda work: work())
    monkeypatch.setattr(devices, "used_bytes", lambda _: 7)
    monkeypatch.setattr(torch.xpu, "_lazy_init", lambda: None)


def job(runner: ModelRunner, text: str, voice: Voice, seed: int, **changes: Any) -> Job:
    segment = Segment(text)
    prepared = runner.prepare_segment(Utterance((segment,), voice), segment)
    length = LengthEstimate.of(text, runner.patch_seconds, prepared.room)
    return Job(0, segment, prepared, length, runner.sample_rate, root_seed=seed, steps=3, **changes)


def speak(runner: ModelRunner) -> list[Samples]:
    """Speak beside each other with a clip and without, then continue the one without."""
    rows = [job(runner, "the hello", Voice("", ""), 1), job(runner, "you and x", CLONED, 2)]
    for slot, row in enumerate(rows):
        runner.admit(slot, row)
    audio = [patch for _ in range(4) for patch in step(runner, [0, 1])]
    following = job(runner, "x", Voice("", ""), 3, continuation=runner.continuation_from(rows[0]))
    runner.release(0)
    runner.admit(0, following)
    return audio + [patch for _ in range(3) for patch in step(runner, [0])]


def step(runner: ModelRunner, slots: list[int]) -> list[Samples]:
    launched = runner.launch(slots)
    assert len(launched.stop_flags()) == len(launched.slots)
    return list(launched.samples())


def runner_of(model: VoxCPM, kind: str) -> ModelRunner:
    return ModelRunner(model, VoiceCache(model, kind), slots=2, length=256, capture=enforce_eager)


@pytest.mark.parametrize("device", ACCELERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_eager_path_says_the_same_on_other_accelerators(
    checkpoint: Checkpoints, model: Callable[[str], VoxCPM], kind: str, device: str
) -> None:
    expected = speak(runner_of(model(kind), kind))
    with posing(device) as posed:
        loaded = load_model(checkpoint(kind), device, "float32")
        assert isinstance(loaded.embed_tokens, PosingTensor)
        runner = runner_of(loaded, kind)
        runner.capture(0.0)
        posed.names.clear()
        spoken = speak(runner)
        assert len(posed.names) > 1000
        assert runner.status() == {
            "device": f"{device}",
            "dtype": "float32",
            "slots": 2,
            "memory_bytes": 7,
            "graphs": {"captured": 0, "wanted": 0, "failed": 0, "skipped": 0},
        }
    assert len(spoken) == len(expected) > 8
    for samples, same in zip(spoken, expected, strict=True):
        np.testing.assert_allclose(samples, same, atol=1e-5, rtol=0)
    assert max(np.abs(samples).max() for samples in spoken) > 0.01


class Watched:
    """Replaces the lock of a device that one thread at a time may use."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


@pytest.mark.parametrize("kind", KINDS)
def test_on_mps_one_thread_at_a_time_uses_the_device(
    checkpoint: Checkpoints, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Watched()
    outside: list[str] = []
    monkeypatch.setattr(devices, "_ONE_THREAD", lock)

    def watch(name: str, result: Any) -> Any:
        if not lock.depth:
            outside.append(name)
        return result

    with posing("mps", watch):
        runner = runner_of(load_model(checkpoint(kind), "mps", "float32"), kind)
        runner.capture(0.0)
        outside.clear()  # nothing else runs before the engine is ready
        speak(runner)
        runner.work_idle()
    assert outside == []
    for other in ("cpu", "cuda", "xpu"):
        with devices.exclusive(torch.device(other)):
            assert not lock.depth


@contextmanager
def rounding(device: str) -> Iterator[None]:
    """A device that multiplies integers as if they were float32."""

    def spoil(name: str, result: Any) -> Any:
        wide = name == "aten::mul" and result.dtype == torch.int64
        return result.float().long() if wide else result

    with posing(device, spoil):
        yield


@pytest.mark.parametrize("device", ACCELERATORS)
def test_a_device_that_draws_other_noise_is_refused_before_weights_are_read(
    checkpoint: Checkpoints, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    from voxcpm_openai.runtime.loading.checkpoint import Checkpoint

    with posing(device):
        devices.check_noise(torch.device(device))
    monkeypatch.setattr(Checkpoint, "model", lambda *_, **__: pytest.fail("weights are read"))
    with rounding(device), pytest.raises(StartError, match=f"{device} draws wrong noise .*=cpu"):
        load_model(checkpoint("voxcpm15"), device, "float32")


def test_triton_is_refused_on_other_accelerators(checkpoint: Checkpoints) -> None:
    for device in ACCELERATORS:
        message = f"VOXCPM_KERNELS=triton needs a CUDA device; the model is to run on {device}"
        with posing(device), pytest.raises(StartError, match=message):
            load_model(checkpoint("voxcpm15"), device, "float32", "triton")
