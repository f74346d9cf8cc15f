"""The trial of the paths in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from voxcpm_openai.runtime.device.execution_path import (
    SAFE,
    ExecutionPath,
    allowed_paths,
)
from voxcpm_openai.runtime.loading import published
from voxcpm_openai.runtime.trial.trial_process import small_model
from voxcpm_openai.runtime.trial.trial_run import run_trial

ALL = allowed_paths("auto", "auto")
TRITON = ALL[2]
SAID = 'print(\'{"path": ["torch", false], "reason": null}\', flush=True); '
"""A process that has come to the safe path."""


def trial_of(script: str, seconds: float = 30.0) -> dict[ExecutionPath, str | None]:
    command = (sys.executable, "-c", f"import os, signal, sys, time; {script}")
    return run_trial({}, ALL, seconds=seconds, command=command)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its trial was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its trial was ended by SIGKILL"),
        ("sys.exit('no kernel image is available')", "its trial failed: no kernel image is"),
        ("1 / 0", "its trial failed: ZeroDivisionError"),
    ],
)
def test_paths_that_a_process_did_not_come_to_are_refused_for_its_end(
    end: str, reason: str
) -> None:
    found = trial_of(SAID + end)
    assert found[SAFE] is None
    assert all((found[path] or "").startswith(reason) for path in ALL[1:])


def test_a_process_that_hangs_is_killed_with_its_own_processes() -> None:
    child = f"[{sys.executable!r}, '-c', 'import time; time.sleep(600)']"
    script = (
        f"import subprocess; child = subprocess.Popen({child}); {SAID}"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    begun = time.monotonic()
    found = trial_of(script, seconds=2.0)
    assert time.monotonic() - begun < 60
    assert found == {SAFE: None} | dict.fromkeys(ALL[1:], "its trial took longer than 2 s")


def test_a_real_process_tries_a_model_of_the_published_widths_config(tmp_path: Path) -> None:
    """On a CPU: PyTorch's operators run, graphs and Triton cannot be had."""
    from voxcpm_openai.testing import tiny_checkpoints

    folder = tiny_checkpoints.make(tmp_path / "tiny", "voxcpm2")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    request = {"config": config, "device": "cpu", "dtype": "float32"}
    found = run_trial(request, ALL)
    assert found[SAFE] is None
    for path in ALL[1:]:
        assert found[path], path
    assert "VOXCPM_KERNELS=triton needs a CUDA device" in str(found[TRITON])


@pytest.mark.parametrize("published_model", published.MODELS, ids=lambda model: model.name)
def test_the_small_model_has_the_true_widths_and_two_layers(published_model: Any) -> None:
    from voxcpm_openai.runtime.model import config

    parsed = config.parse(dict(published_model.config))
    made = small_model_on_meta(parsed)
    for part in (made.base, made.residual, made.local_encoder.transformer, made.flow.transformer):
        assert len(part.layers) == 2
    assert made.base.layers[0].qkv.weight.shape[1] == parsed.base.hidden_size
    assert made.config.vae == parsed.vae


def small_model_on_meta(parsed: Any) -> Any:
    from voxcpm_openai.runtime.loading.shapes import ShapeRecorder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "voxcpm_openai.runtime.trial.trial_process.RandomWeights",
            lambda _, dtype=torch.float32, **__: ShapeRecorder({}, dtype=dtype),
        )
        return small_model(parsed, torch.device("cpu"), torch.bfloat16)
