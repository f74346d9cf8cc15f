"""The choice of a path at the start of the engine, and what the engine reports of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.runtime.paths import FaultyCapture, small_trials
from tests.support.runtime.utterances import collect, settings_of
from tests.support.stock import load_plugin
from voxcpm_openai import Segment, Utterance, Voice
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device import devices, loader, memory
from voxcpm_openai.runtime.device.execution_path import (
    SAFE,
    ExecutionPath,
    PathReport,
    allowed_paths,
)
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.trial import path_selection
from voxcpm_openai.runtime.trial.path_selection import PathSelection
from voxcpm_openai.runtime.trial.trial_record import described

ALL = allowed_paths("auto", "auto")
TORCH_GRAPHS, TRITON, TRITON_GRAPHS = ALL[1:]


class Trials:
    """Stands for the process of its own: refuses operators, and counts its runs."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self.asked: list[list[ExecutionPath]] = []

    def __call__(
        self, request: Mapping[str, object], paths: Sequence[ExecutionPath]
    ) -> dict[ExecutionPath, str | None]:
        self.asked.append(list(paths))
        return {path: self.refused.get(path.kernels) for path in paths}


@pytest.fixture(name="trials")
def _trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    trials = Trials()
    monkeypatch.setattr(path_selection, "run_trial", trials)
    return trials


@pytest.fixture(name="on_gpu")
def _on_gpu(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> Trials:
    """Let a CPU pass for a GPU on which Triton compiles and graphs can be captured."""
    monkeypatch.setattr(devices, "is_nvidia", lambda _: True)
    monkeypatch.setattr(path_selection, "make_ops", lambda *_: TorchOps())
    monkeypatch.setattr(path_selection, "CudaCapture", lambda _: FaultyCapture())
    return trials


def selection(tmp_path: Path) -> PathSelection:
    return PathSelection(torch.device("cpu"), "float32", {"x": 1}, tmp_path / "trials")


def test_a_selection_tries_apart_once_and_chooses_each_time(
    model: Any, tmp_path: Path, on_gpu: Trials
) -> None:
    on_gpu.refused["triton"] = "operator norm: the error is 0.03"
    ours = model("voxcpm15")
    for _ in range(2):
        chosen = selection(tmp_path)
        chosen.try_apart("auto", "auto")
        with small_trials():
            report = chosen.select(ours)
    assert on_gpu.asked == [ALL]
    assert report.tried
    assert report.refused[TRITON] == "operator norm: the error is 0.03"
    lines = list(described(tmp_path / "trials", {"x": 1}))
    assert str(report.path) in lines[0]
    assert "  not triton kernels, eager: operator norm: the error is 0.03" in lines
    assert list(described(tmp_path / "trials", {"x": 2})) == []


def test_a_trial_that_took_too_long_is_repeated_at_the_next_start(
    tmp_path: Path, on_gpu: Trials
) -> None:
    on_gpu.refused["triton"] = "its trial took longer than 120 s"
    for _ in range(2):
        selection(tmp_path).try_apart("auto", "auto")
    assert on_gpu.asked == [ALL, [TRITON, TRITON_GRAPHS]]


def test_operators_that_can_be_had_later_are_tried_then(
    model: Any, tmp_path: Path, on_gpu: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as with a compiler that was installed meanwhile."""

    def no_compiler(kernels: str, _: torch.device) -> TorchOps:
        if kernels == "triton":
            raise StartError("it needs a C compiler")
        return TorchOps()

    with monkeypatch.context() as patch:
        patch.setattr(path_selection, "make_ops", no_compiler)
        without = selection(tmp_path)
        without.try_apart("auto", "auto")
        with small_trials():
            assert without.select(model("voxcpm15")).refused[TRITON] == "it needs a C compiler"
    selection(tmp_path).try_apart("auto", "auto")
    assert on_gpu.asked == [[SAFE, TORCH_GRAPHS], [TRITON, TRITON_GRAPHS]]


def test_a_path_that_went_wrong_later_is_refused_at_the_next_start(
    model: Any, tmp_path: Path, on_gpu: Trials
) -> None:
    on_gpu.refused["torch"] = "it hung"  # the safe path would not be refused later
    first = selection(tmp_path)
    first.try_apart("auto", "auto")
    with small_trials():
        path = first.select(model("voxcpm15")).path
        first.refuse("the device was lost")
        second = selection(tmp_path)
        second.try_apart("auto", "auto")
        assert second.select(model("voxcpm15")).refused[path] == "the device was lost"


@pytest.mark.parametrize(
    ("kernels", "graphs", "expected"),
    [
        ("torch", "off", SAFE),
        ("torch", "on", TORCH_GRAPHS),
        ("triton", "off", TRITON),
        ("triton", "on", TRITON_GRAPHS),
    ],
)
def test_a_path_that_the_settings_name_is_not_tried(
    model: Any, tmp_path: Path, kernels: str, graphs: str, expected: ExecutionPath, on_gpu: Trials
) -> None:
    chosen = selection(tmp_path)
    chosen.try_apart(kernels, graphs)
    assert chosen.select(model("voxcpm15")) == PathReport(expected)
    assert on_gpu.asked == []
    chosen.refuse("the device was lost")
    assert chosen.record.lost == {}, "it would not be asked for"


def test_where_there_is_no_gpu_auto_is_the_safe_path(
    model: Any, tmp_path: Path, trials: Trials
) -> None:
    chosen = selection(tmp_path)
    chosen.try_apart("auto", "auto")
    assert chosen.select(model("voxcpm15")).path == SAFE
    assert trials.asked == []


@pytest.mark.parametrize(("kernels", "graphs"), [("triton", "auto"), ("auto", "on")])
def test_what_the_device_does_not_have_is_an_error_before_the_weights_are_loaded(
    tmp_path: Path, kernels: str, graphs: str
) -> None:
    with pytest.raises(StartError, match="needs a CUDA device"):
        selection(tmp_path).try_apart(kernels, graphs)


@pytest.mark.parametrize("refused", [{}, {"torch": "it hung", "triton": "it hung"}])
def test_the_engine_finds_its_path_and_tells_it(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_gpu: Trials, refused: Any
) -> None:
    """Also: what it says is what it would say without a trial before."""
    on_gpu.refused |= refused
    plugin: Any = load_plugin("voxcpm_engine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = settings_of(checkpoint("voxcpm15"), dtype="float32")
    monkeypatch.setattr(plugin, "CAPTURE_SECONDS", 0.0)
    utterance = Utterance((Segment("the hello"),), Voice("", ""), seed=7)
    if refused:
        with pytest.raises(StartError, match="No allowed way to run the steps is right"):
            plugin.start(settings)
        return
    with small_trials():
        engine = plugin.start(settings)
    expected = collect(engine.synthesize(utterance))
    engine.stop()
    assert "path" not in engine.status().details["runner"]
    monkeypatch.setattr(devices, "pads_batches", lambda _: True)
    monkeypatch.setattr(memory, "slots_that_fit", lambda *_: 2)
    with small_trials():
        engine = plugin.start(settings)
    try:
        np.testing.assert_allclose(collect(engine.synthesize(utterance)), expected, atol=1e-5)
        path = engine.status().details["runner"]["path"]
        assert path["chosen_by"] == "trial"
        assert set(path["step_ms"]) == {"1", "2"}
        assert path["error"] < 1e-5
        assert len(path["refused"]) == 3
        assert engine.status().summary.endswith("rows)")
    finally:
        engine.stop()


def test_operators_are_torchs_or_an_error() -> None:
    assert isinstance(loader.make_ops("torch", torch.device("cpu")), TorchOps)
