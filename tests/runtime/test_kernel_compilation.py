"""Kernels are compiled before the time for captures begins, and before the engine is ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runtime.conftest import require
from tests.support.runtime.graph_batch import Batch
from voxcpm_openai.runtime.device import cuda_graphs, loader
from voxcpm_openai.runtime.device.capture import Run, enforce_eager
from voxcpm_openai.runtime.device.cuda_graphs import GraphRunner
from voxcpm_openai.runtime.device.stages import AcousticStage, Stage
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

Kinds = Callable[[str], VoxCPM]


def test_compilation_takes_nothing_of_the_time_for_captures(
    model: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def compiling(_: Stage) -> None:
        nonlocal now
        now += 60.0

    def capture(run: Run) -> Run:
        nonlocal now
        now += 0.4
        return run

    batch = Batch(model("voxcpm15"), capture, slots=3)
    monkeypatch.setattr(cuda_graphs.time, "monotonic", lambda: now)
    monkeypatch.setattr(batch.graphs._stages, "run", compiling)
    assert batch.graphs.warmup(seconds=2.0) == 6
    assert now > 600


def test_all_that_stages_compile_is_compiled_before_the_captures(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton compiles a kernel for each set of settings, dtypes, and integers of some kinds."""
    require("triton")
    from voxcpm_openai.runtime.model.kernels import triton_ops

    compiled: set[Any] = set()

    def kind(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.dtype
        return (value == 1, value % 16 == 0) if isinstance(value, int) else type(value)

    def launch(kernel: Any, _: object, *given: Any, **settings: Any) -> None:
        settings_of_it = tuple(sorted(settings.items()))
        compiled.add((kernel.__name__, tuple(map(kind, given)), settings_of_it))

    monkeypatch.setattr(triton_ops, "_launch", launch)
    monkeypatch.setattr(loader, "_triton_ops", lambda _: triton_ops.TritonOps())
    model = loader.load_model(checkpoint("voxcpm2"), "cpu", "float32", "triton")
    graphs = GraphRunner(model, model.new_slots(41, 256), enforce_eager)
    graphs.warmup(seconds=-1)
    before = set(compiled)
    assert len(before) > 10
    stages = [*graphs._default_stages(), AcousticStage(4, 16), AcousticStage(40, 17)]
    with torch.inference_mode():
        for stage in stages:
            graphs._stages.run(stage)
    assert compiled == before
