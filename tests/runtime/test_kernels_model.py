"""Whole models with Triton's kernels: interpreted they speak as with PyTorch's operators; all of
them compile for an H100.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime import graphs as stepping
from voxcpm_openai.runtime import loader
from voxcpm_openai.runtime.graphs import Graphs, eagerly
from voxcpm_openai.runtime.kernels.ops import TritonOps
from voxcpm_openai.runtime.loader import load_model
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

ROOT = Path(__file__).parents[2]
JOBS = {1: ("the hello", 2**40 + 1, 2.0, 3), 0: ("x", 2, 1.3, 2)}
"""Of each slot: the text, the seed, the guidance, the steps."""


def spoken(model: VoxCPM, patches: int = 2) -> list[torch.Tensor]:
    """Latents, samples and stop flags of two rows, whose texts are read beside."""
    slots = model.new_slots(5, 100)
    graphs = Graphs(model, slots, eagerly)
    for slot, (text, seed, cfg, steps) in JOBS.items():
        parts = model.arrive(slots, slot, model.tokens(text))
        graphs.begin(slot, parts, seed=seed, cfg=cfg, steps=steps)
    found = []
    for _ in range(patches):
        step = graphs.launch(list(JOBS))
        found += [graphs.latents[: len(JOBS)].clone(), torch.tensor(step.stops()).float()]
        found += [torch.tensor(row) for row in step.samples()]
    return found


@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_a_model_speaks_as_with_pytorchs_operators(
    kind: str, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "SOLVERS", (2,))  # evaluations: those of three steps
    monkeypatch.setattr(loader, "_triton_ops", lambda _: TritonOps())
    folder = checkpoint(kind)
    made = spoken(load_model(folder, "cpu", "float32", "triton"))
    expected = spoken(load_model(folder, "cpu", "float32"))
    for ours, theirs in zip(made, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_attention_that_copies_nothing_needs_one_graph_for_all_lengths(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_triton_ops", lambda _: TritonOps())
    monkeypatch.setattr(stepping, "SPANS", (100,))
    counts = []
    for kernels in ("torch", "triton"):
        model = load_model(checkpoint("voxcpm15"), "cpu", "float32", kernels)
        counts.append(Graphs(model, model.new_slots(3, 200), eagerly).prepare(600))
    # Of one row and two: what speaks, and what hears, with texts and without, for each span.
    assert counts == [1 + 2 * (1 + 2 * 2), 1 + 2 * (1 + 2)]


def test_every_kernel_compiles_for_an_h100(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.runtime.compiled"],
        cwd=ROOT,
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    compiled = [line.split() for line in result.stdout.splitlines()]
    assert {name for name, *_ in compiled} == {
        "norm.add_norm", "norm.gated", "local.attend", "past.remember", "past.attend", "past.join",
        "solver.line_up", "solver.guide", "solver.normal", "snake.snake",
    }  # fmt: skip
    assert {words[-1] for words in compiled} == {"cubin"}


def test_triton_without_a_gpu_is_refused(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(StartError, match="VOXCPM_KERNELS=triton needs a CUDA device"):
        load_model(checkpoint("voxcpm15"), "cpu", "float32", "triton")


def test_without_triton_the_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "find_spec", lambda _: None)
    with pytest.raises(StartError, match="needs the package triton"):
        loader._triton_ops(torch.device("cuda"))
