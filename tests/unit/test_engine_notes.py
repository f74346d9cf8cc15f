"""What ``check`` says of how the voxcpm engine would run here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.stock import load_plugin
from voxcpm_openai import Settings
from voxcpm_openai.runtime import gpu
from voxcpm_openai.runtime.device.execution_path import SAFE, ExecutionPath, PathReport
from voxcpm_openai.runtime.loading import hub
from voxcpm_openai.runtime.trial.trial_record import TrialRecord
from voxcpm_openai.setting_sources import RawSettings

plugin: Any = load_plugin("voxcpm_engine")
TRIES = ["the first start on this GPU tries how the steps run best"]
CONFIG = {"architecture": "voxcpm"}
KEY = {"gpu": "NVIDIA H100", "torch": "2.13.0", "dtype": "bfloat16", "config": CONFIG}


@pytest.fixture(autouse=True)
def _checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint with a configuration, a cache of its own, and a GPU."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "find", lambda _: tmp_path)
    monkeypatch.setattr(gpu, "accelerator", lambda: "cuda")


THREADS = ["threads on the CPU: 3, fewer while other programs need the cores"]


def notes(**variables: str) -> list[str]:
    environ = {f"VOXCPM_{name.upper()}": value for name, value in variables.items()}
    return list(plugin.notes(Settings(threads=3, raw=RawSettings(environ=environ))))


def test_before_the_first_start_it_says_that_paths_are_tried() -> None:
    assert notes() == notes(kernels="torch") == TRIES


def test_where_nothing_is_tried_it_says_nothing() -> None:
    assert notes(kernels="torch", cuda_graphs="false") == []


def test_on_a_cpu_it_says_the_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "true")  # there is a compiler
    assert notes(device="cpu") == THREADS
    monkeypatch.setattr(gpu, "accelerator", lambda: None)
    assert notes() == THREADS


def test_after_a_start_it_says_what_was_chosen_and_why_not_the_others(tmp_path: Path) -> None:
    from voxcpm_openai import __version__

    graphs = ExecutionPath("torch", graphs=True)
    record = TrialRecord(
        tmp_path / "voxcpm-openai" / plugin.TRIALS, {**KEY, "voxcpm_openai": __version__}
    )
    record.keep_choice(PathReport(graphs, True, {1: 5.7, 8: 6.5}, 0.0, {SAFE: "it is slower"}))
    assert notes() == [
        "NVIDIA H100, bfloat16, PyTorch 2.13.0: torch kernels, CUDA graphs "
        "(5.7 ms at 1, 6.5 ms at 8 rows)",
        "  not torch kernels, eager: it is slower",
    ]


def test_a_checkpoint_that_is_missing_is_told_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "config.json").unlink()
    assert notes() == []
