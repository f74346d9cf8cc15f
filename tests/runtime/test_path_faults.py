"""What goes wrong on a path later: the runner leaves it, and it is refused from then on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from tests.support.runtime.paths import FaultyCapture, broken
from voxcpm_openai.contracts import Samples, Segment, Utterance, Voice
from voxcpm_openai.errors import Unavailable
from voxcpm_openai.runtime.device.async_copy import DeviceStep
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.execution_path import SAFE, ExecutionPath, PathReport
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.errors import DeviceError, WrongAudio
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

Kinds = Callable[[str], VoxCPM]
FAST = PathReport(ExecutionPath("triton", graphs=True), tried=True)


@pytest.fixture(autouse=True)
def _torch_operators(model: Kinds) -> Iterator[None]:
    """The session's model has PyTorch's operators again after each test."""
    yield
    model("voxcpm15").use(TorchOps())


def engine_of(runner: ModelRunner) -> BatchedEngine:
    return BatchedEngine(runner, rows_per_step=2, max_waiting=8, max_wait=30.0)


def runner_of(model: VoxCPM, reports: list[str], **options: object) -> ModelRunner:
    options = {"capture": FaultyCapture(), "path": FAST, **options}
    return ModelRunner(
        model, VoiceCache(model, "x"), slots=2, length=100, report=reports.append, **options
    )


def speech_of(engine: BatchedEngine, seed: int = 1) -> Samples:
    utterance = Utterance((Segment("hello"),), Voice("", ""), seed=seed)
    stream = engine.synthesize(utterance)
    try:
        return np.concatenate([chunk.samples for chunk in stream])
    finally:
        stream.close()


def test_audio_that_is_not_finite_fails_the_request_and_leaves_the_path(model: Kinds) -> None:
    ours, reports = model("voxcpm15"), []
    expected = speech_of(engine := engine_of(runner_of(ours, [])))
    engine.stop()
    runner = runner_of(ours, reports)
    engine = engine_of(runner)
    try:
        ours.use(broken("swiglu", lambda x: x * math.nan))
        with pytest.raises(Unavailable):
            speech_of(engine)
        assert reports == ["1 of 1 rows of a step are not finite"]
        np.testing.assert_allclose(speech_of(engine), expected, atol=1e-5)
        path = runner.status()["path"]
        assert isinstance(path, dict)
        assert (path["kernels"], path["cuda_graphs"]) == ("torch", False)
        assert path["refused"] == {str(FAST.path): reports[0]}
        assert engine.status().state == "ready"
    finally:
        engine.stop()


def test_after_the_safe_path_there_is_none(model: Kinds) -> None:
    ours, reports = model("voxcpm15"), []
    engine = engine_of(runner_of(ours, reports, path=PathReport(SAFE), capture=enforce_eager))
    try:
        ours.use(broken("swiglu", lambda x: x * math.nan))
        for _ in range(2):
            with pytest.raises(Unavailable):
                speech_of(engine)
        assert reports == []
    finally:
        engine.stop()


def test_on_a_cpu_wrong_audio_is_an_error_too(model: Kinds) -> None:
    ours, reports = model("voxcpm15"), []
    engine = engine_of(runner_of(ours, reports, path=None, capture=None))
    try:
        ours.use(broken("swiglu", lambda x: x * math.nan))
        with pytest.raises(Unavailable):
            speech_of(engine)
        ours.use(TorchOps())
        assert np.isfinite(speech_of(engine)).all()
    finally:
        engine.stop()


def test_a_lost_device_is_reported_and_ends_the_engine(model: Kinds) -> None:
    ours, reports = model("voxcpm15"), []
    engine = engine_of(runner_of(ours, reports))

    def lost(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    try:
        ours.use(broken("swiglu", lost))
        with pytest.raises(Unavailable):
            speech_of(engine)
        assert reports == ["CUDA error: an illegal memory access was encountered"]
        assert engine.status().state == "failed"
    finally:
        engine.stop()


@pytest.mark.parametrize("error", [DeviceError("lost"), WrongAudio("wrong")])
def test_a_fault_while_a_step_is_waited_for_is_reported(
    model: Kinds, error: DeviceError | WrongAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, reports = model("voxcpm15"), []
    engine = engine_of(runner_of(ours, reports))

    def fail(_: DeviceStep) -> None:
        raise error

    monkeypatch.setattr(DeviceStep, "stop_flags", fail)
    try:
        with pytest.raises(Unavailable):
            speech_of(engine)
        assert reports == [str(error)]
    finally:
        engine.stop()
