"""The benchmark of Triton's kernels, on a CPU: right comes before fast, and what ran is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import gpu
from benchmarks.on_gpu import kernels
from benchmarks.on_gpu.bench import TINY, Bench
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.model.ops import TorchOps


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench("cpu", replace(TINY, repeats=1), tmp_path)


@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_a_kernel_is_compared_before_it_is_timed(bench: Bench, kernel: str) -> None:
    row = kernels.measure(bench, kernel, "2", 1)
    assert (row.ran, row.within_bar) == ("interpreter", True)
    assert row.times == pytest.approx(row.torch_us / row.triton_us)


def test_a_kernel_that_is_wrong_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(TorchOps):
        def gated(self, gate_up: Tensor) -> Tensor:
            return super().gated(gate_up) * torch.nan

    monkeypatch.setattr(kernels, "_triton", lambda _: (Wrong(), "GPU"))
    assert kernels.measure(bench, "gate, LM", "1.5", 3).within_bar is False
    assert kernels.measure(bench, "norm, LM", "1.5", 3).within_bar is True


def test_without_triton_pytorch_stands_in_its_place(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    row = kernels.measure(bench, "snake", "1.5", 1)
    assert (row.ran, row.error) == ("torch in its place", 0)


def test_whole_models_are_measured_with_them_where_a_gpu_is(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="VOXCPM_KERNELS=triton needs a CUDA device"):
        Bench("cpu", TINY, tmp_path, "triton").model("2")


def test_rows_of_other_kernels_do_not_count_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(gpu.PARTS, "step", gpu.Part(lambda _: iter(()), {"label": "label"}))
    options = ["--part", "step", "--state", str(tmp_path), "--device", "cpu", "--size", "tiny"]
    sizes: list[str] = []

    class Seen(gpu.Ledger):
        def __init__(self, folder: Path, size: str, machine: gpu.Machine) -> None:
            sizes.append(size)
            super().__init__(folder, size, machine)

    monkeypatch.setattr(gpu, "Ledger", Seen)
    gpu.main(options)
    gpu.main([*options, "--kernels", "triton"])
    assert sizes == ["tiny", "tiny, triton"]
