"""A GPU's memory: slots by what is free, and a request refused where nothing is left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from voxcpm_openai import Overloaded, Samples, Segment, Utterance, Voice
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime import faults, memory
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.graphs import eagerly
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.runtime.runner import ModelRunner

HELLO = Utterance((Segment("Hello there."),), Voice("", ""), {"inference_steps": 3}, seed=1)


@pytest.fixture
def ours(model: Callable[[str], VoxCPM]) -> VoxCPM:
    return model("voxcpm15")


def let_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 * 2**30))


def test_a_slot_is_as_large_as_its_buffers(ours: VoxCPM) -> None:
    layers = ours.config.base.layers + ours.config.residual.layers
    token = 2 * layers * ours.config.base.kv_heads * ours.config.base.head * 4  # bytes
    more = memory.slot_bytes(ours, 101) - memory.slot_bytes(ours, 100)
    assert more == token
    assert memory.slot_bytes(ours, 100) == ours.new_slots(1, 100).bytes
    assert 3 * memory.slot_bytes(ours, 100) == ours.new_slots(3, 100).bytes


def test_slots_are_as_many_as_fit_and_this_is_told(
    ours: VoxCPM, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    size = memory.slot_bytes(ours, 256)
    let_free(monkeypatch, memory.RESERVE + size + 9 * (size + memory.AT_WORK) + 1)
    with caplog.at_level(logging.INFO, logger="voxcpm_openai"):
        assert memory.slots_that_fit(ours, 256, 64) == 9
    assert "9 slots of 256 positions" in caplog.text
    assert memory.slots_that_fit(ours, 256, 8) == 8


def test_a_gpu_without_room_for_speech_stops_the_start(
    ours: VoxCPM, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_free(monkeypatch, memory.RESERVE)
    with pytest.raises(StartError, match=r"3.0 GiB are free .* speech needs 3.\d GiB"):
        memory.slots_that_fit(ours, 256, 64)


def spoken(engine: BatchedEngine) -> Samples:
    return np.concatenate([chunk.samples for chunk in engine.speak(HELLO)])


@pytest.mark.parametrize("capture", [None, eagerly], ids=["exact", "fixed"])
@pytest.mark.parametrize("place", ["arrive", "hear", "speak"])
def test_without_memory_a_job_is_refused_and_the_engine_goes_on(
    ours: VoxCPM, monkeypatch: pytest.MonkeyPatch, place: str, capture: Any
) -> None:
    runner = ModelRunner(ours, Prompts(ours, "x"), slots=2, length=256, capture=capture)
    engine = BatchedEngine(runner, rows_per_step=2, max_waiting=9, max_wait=600)

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    expected = spoken(engine)
    with monkeypatch.context() as patch:
        patch.setattr(ours, place, full)
        with pytest.raises(Overloaded, match="no memory left") as caught:
            list(engine.speak(HELLO))
    assert caught.value.retry_after == faults.RETRY_SECONDS
    assert engine.status()["state"] == "ready"
    again = spoken(engine)
    engine.stop()
    np.testing.assert_allclose(again, expected, rtol=0, atol=1e-4)
