"""A GPU's memory: the number of slots, and a request refused when no memory is left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from voxcpm_openai import Overloaded, Samples, Segment, Utterance, Voice
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device import memory
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

MIB, GIB = 2**20, 2**30
HELLO = Utterance((Segment("Hello there."),), Voice("", ""), {"inference_steps": 3}, seed=1)


@pytest.fixture
def ours(model: Callable[[str], VoxCPM]) -> VoxCPM:
    return model("voxcpm15")


def set_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 * GIB))


def predict(ours: VoxCPM, length: int) -> memory.ModelMemory:
    return memory.model_memory(ours.config, ours.dtype, length)


def test_free_memory_determines_the_number_of_slots(
    ours: VoxCPM, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predicted = predict(ours, 256)
    nine = 3 * GIB + predicted.base + 9 * (predicted.slot + 10 * MIB)
    assert predicted.needed(9) == nine
    set_free(monkeypatch, nine)
    with caplog.at_level(logging.INFO, logger="voxcpm_openai"):
        assert memory.slots_that_fit(ours, 256, 64) == 9
    assert "9 slots of 256 positions" in caplog.text
    assert memory.slots_that_fit(ours, 256, 8) == 8
    set_free(monkeypatch, nine - 1)
    assert memory.slots_that_fit(ours, 256, 64) == 8


def test_a_gpu_without_memory_for_a_slot_is_a_start_error(
    ours: VoxCPM, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_free(monkeypatch, 3 * GIB)
    with pytest.raises(StartError, match=r"3.0 GiB are free .* speech needs 3.\d GiB"):
        memory.slots_that_fit(ours, 256, 64)


def synthesize(engine: BatchedEngine) -> Samples:
    return np.concatenate([chunk.samples for chunk in engine.synthesize(HELLO)])


@pytest.mark.parametrize("capture", [None, enforce_eager], ids=["unpadded", "padded"])
@pytest.mark.parametrize("method", ["begin", "lm_step", "acoustic_step"])
def test_a_job_without_memory_is_refused_and_the_engine_continues(
    ours: VoxCPM, monkeypatch: pytest.MonkeyPatch, method: str, capture: Any
) -> None:
    runner = ModelRunner(ours, VoiceCache(ours, "x"), slots=2, length=256, capture=capture)
    engine = BatchedEngine(runner, rows_per_step=2, max_waiting=9, max_wait=600)

    def out_of_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    expected = synthesize(engine)
    with monkeypatch.context() as patch:
        patch.setattr(ours, method, out_of_memory)
        with pytest.raises(Overloaded, match="no memory left") as caught:
            list(engine.synthesize(HELLO))
    assert caught.value.retry_after == 5
    assert engine.status().state == "ready"
    again = synthesize(engine)
    engine.stop()
    np.testing.assert_allclose(again, expected, rtol=0, atol=1e-4)
