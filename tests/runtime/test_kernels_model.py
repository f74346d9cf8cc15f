"""Whole models with Triton's kernels: interpreted, they equal PyTorch's operators; all of the
kernels compile for an H100.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support import ROOT
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device import cuda_graphs, loader
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.cuda_graphs import GraphRunner
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.model.kernels import vae_ops
from voxcpm_openai.runtime.model.kernels.triton_ops import TritonOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

JOBS = {1: ("the hello", 2**40 + 1, 2.0, 3), 0: ("x", 2, 1.3, 2)}
"""By slot: text, seed, guidance, steps."""


@pytest.fixture(autouse=True)
def _few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter takes its time for each program, however large."""
    monkeypatch.setattr(vae_ops, "LANES", 1024)
    monkeypatch.setattr(vae_ops, "TIMES", 1024)


def synthesize(model: VoxCPM, patches: int = 2) -> list[torch.Tensor]:
    """Return latents, stop flags and samples of two rows."""
    slots = model.new_slots(5, 100)
    graphs = GraphRunner(model, slots, enforce_eager)
    for slot, (text, seed, cfg, steps) in JOBS.items():
        parts = model.begin(slots, slot, model.tokens(text))
        graphs.begin(slot, parts, seed=seed, cfg=cfg, steps=steps)
    outputs = []
    for _ in range(patches):
        step = graphs.launch(list(JOBS))
        outputs += [graphs.latents[: len(JOBS)].clone(), torch.tensor(step.stop_flags()).float()]
        outputs += [torch.tensor(row) for row in step.samples()]
    return outputs


@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_a_model_equals_itself_with_pytorchs_operators(
    kind: str, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "EVALUATION_COUNTS", (2,))  # those of three steps
    monkeypatch.setattr(loader, "_triton_ops", lambda _: TritonOps())
    folder = checkpoint(kind)
    actual = synthesize(load_model(folder, "cpu", "float32", "triton"))
    expected = synthesize(load_model(folder, "cpu", "float32"))
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_without_gathered_keys_one_graph_serves_all_lengths(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_triton_ops", lambda _: TritonOps())
    monkeypatch.setattr(cuda_graphs, "KV_LENGTHS", (100,))
    counts = []
    for kernels in ("torch", "triton"):
        model = load_model(checkpoint("voxcpm15"), "cpu", "float32", kernels)
        counts.append(GraphRunner(model, model.new_slots(3, 200), enforce_eager).warmup(600))
    # For one row and two: three acoustic stages, one of the VAE; per length, LM stages with and
    # without prefill.
    assert counts == [3 + 2 * (4 + 2 * 2), 2 + 2 * (4 + 2)]


def test_every_kernel_compiles_for_an_h100(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.runtime.compiled"],
        cwd=ROOT,
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    compiled = [line.split() for line in result.stdout.splitlines()]
    assert {name for name, *_ in compiled} == {
        "norm.add_norm", "pointwise.swiglu", "pointwise.snake", "encode.attention",
        "decode.store_kv", "decode.decode_attention", "decode.combine_splits",
        "solver.build_dit_input", "solver.cfg_euler_step", "solver.normal",
        "vae.snake_conv", "vae.snake_pairs", "vae.snake_output",
    }  # fmt: skip
    assert {words[-1] for words in compiled} == {"cubin"}


def test_triton_without_a_gpu_is_refused(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(StartError, match="VOXCPM_KERNELS=triton needs a CUDA device"):
        load_model(checkpoint("voxcpm15"), "cpu", "float32", "triton")


def test_missing_triton_is_a_start_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "find_spec", lambda _: None)
    with pytest.raises(StartError, match="needs the package triton"):
        loader._triton_ops(torch.device("cuda"))
