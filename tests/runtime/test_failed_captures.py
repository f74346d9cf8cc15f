"""A capture that fails: its stage runs eagerly, unless the device is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.runtime.graph_batch import Batch, Counted, assert_same
from tests.support.runtime.tape import Recorder
from voxcpm_openai.errors import Overloaded
from voxcpm_openai.runtime.device.capture import CudaCapture, Run
from voxcpm_openai.runtime.device.faults import device_faults
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.streams import alone

Kinds = Callable[[str], VoxCPM]
INVALIDATED = RuntimeError("CUDA error: operation failed due to a previous error during capture")


class Failing(Recorder):
    """Raises at the second capture."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.tried = error, 0

    def __call__(self, run: Run) -> Run:
        self.tried += 1
        if self.tried == 2:
            raise self.error
        return super().__call__(run)


def on_gpu(monkeypatch: pytest.MonkeyPatch, batch: Batch, synchronize: Callable[..., None]) -> None:
    """Let a batch believe that it is on a GPU."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**40, 2**40))
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    batch.graphs._graphs._device = torch.device("cuda")


@pytest.mark.parametrize(
    "error",
    [INVALIDATED, torch.OutOfMemoryError("CUDA out of memory."), ValueError("no such kernel")],
    ids=lambda error: type(error).__name__,
)
def test_a_stage_whose_capture_fails_runs_eagerly_and_is_counted_once(
    model: Kinds,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    capture, waited = Failing(error), []
    batch, stream = Batch(model("voxcpm15"), capture), Counted("the", patches=6)
    on_gpu(monkeypatch, batch, waited.append)
    batch.join(0, stream)
    with caplog.at_level(logging.WARNING):
        batch.run()
    assert_same(batch.output(stream), alone(model("voxcpm15"), stream))
    assert batch.graphs.status() == {"captured": 3, "wanted": 1, "failed": 1, "skipped": 0}
    assert capture.tried == 4, "it is tried again"
    assert waited == [torch.device("cuda")]
    (record,) = caplog.records
    assert "Stage(rows=1" in record.getMessage()
    assert record.exc_info is not None


def test_a_device_that_is_lost_at_a_capture_is_a_device_error(
    model: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: torch.device) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    batch = Batch(model("voxcpm15"), Failing(INVALIDATED))
    on_gpu(monkeypatch, batch, lost)
    batch.join(0, Counted("the", patches=6))
    with pytest.raises(DeviceError, match="illegal memory access"):
        batch.run()


def test_the_status_of_a_runner_has_the_numbers_of_graphs(model: Kinds) -> None:
    ours = model("voxcpm15")
    runner = ModelRunner(
        ours, VoiceCache(ours, "x"), slots=1, length=64, capture=Failing(INVALIDATED)
    )
    runner.capture(600)
    graphs: Any = runner.status()["graphs"]
    assert (graphs["captured"] > 2, graphs["failed"], graphs["skipped"]) == (True, 1, 0)
    on_cpu = ModelRunner(ours, VoiceCache(ours, "x"), slots=1, length=64)
    assert "graphs" not in on_cpu.status()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA error: device-side assert triggered"), DeviceError),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceError),
        (
            RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
            DeviceError,
        ),
        (RuntimeError("HIP error: an illegal memory access was encountered"), DeviceError),
        (RuntimeError("Triton Error [HIP]:  Code: 700, Message: illegal memory"), DeviceError),
        (
            RuntimeError("level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)"),
            DeviceError,
        ),
        (torch.OutOfMemoryError("CUDA out of memory."), Overloaded),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)"), Overloaded),
        (
            RuntimeError("level_zero backend failed: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"),
            Overloaded,
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), RuntimeError),
    ],
)
def test_the_errors_of_a_lost_device_are_known(error: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, device_faults():
        raise error
    assert type(caught.value) is expected


def test_a_failed_capture_leaves_the_threads_stream_and_takes_a_new_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch's ``graph`` raises at its end, before it makes the former stream current again."""
    streams = ["default"]  # the last one is current
    pools: list[object] = []

    @contextmanager
    def stream(entered: str) -> Iterator[None]:
        before = len(streams)
        streams.append(entered)
        try:
            yield
        finally:
            del streams[before:]

    @contextmanager
    def graph(_: object, *, pool: object, stream: str, **__: object) -> Iterator[None]:
        pools.append(pool)
        streams.append(stream)
        yield
        raise INVALIDATED

    fakes = {
        "Stream": lambda _: SimpleNamespace(wait_stream=lambda _: None),
        "current_stream": lambda _: SimpleNamespace(wait_stream=lambda _: None, cuda_stream=1),
        "graph_pool_handle": object,
        "CUDAGraph": SimpleNamespace,
        "stream": stream,
        "graph": graph,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    capture = CudaCapture(torch.device("cuda"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="previous error"):
            capture(lambda: None)
        assert streams == ["default"]
    assert pools[0] is not pools[1]
