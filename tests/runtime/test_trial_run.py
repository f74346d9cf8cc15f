"""The trial in a process of its own, what is remembered of it, and what the engine makes of it."""

from __future__ import annotations

import json
import os
import sys
import time
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
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.runtime.loading import published
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.trial import path_selection
from voxcpm_openai.runtime.trial.path_selection import PathSelection
from voxcpm_openai.runtime.trial.trial_process import small_model
from voxcpm_openai.runtime.trial.trial_record import TrialRecord, described
from voxcpm_openai.runtime.trial.trial_run import run_trial

ALL = allowed_paths("auto", "auto")
TORCH_GRAPHS, TRITON, TRITON_GRAPHS = ALL[1:]
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


KEY = {"gpu": "NVIDIA H100", "torch": "2.13.0", "config": {}, "dtype": "bfloat16"}


def test_a_record_keeps_verdicts_by_all_that_they_depend_on(tmp_path: Path) -> None:
    verdicts = {SAFE: None, TRITON: "it hung"}
    TrialRecord(tmp_path, KEY).keep(verdicts)
    assert TrialRecord(tmp_path, KEY).verdicts == verdicts
    for name in KEY:
        assert TrialRecord(tmp_path, {**KEY, name: "other"}).verdicts == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"verdicts": {"torch": "no"}}'])
def test_a_file_that_is_no_record_is_forgotten(tmp_path: Path, content: str) -> None:
    TrialRecord(tmp_path, KEY).keep({SAFE: None})
    (file,) = tmp_path.glob("*.json")
    file.write_text(content, encoding="utf-8")
    assert TrialRecord(tmp_path, KEY).verdicts == {}


def test_without_a_folder_a_record_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    record = TrialRecord(tmp_path / "file", KEY)
    record.keep({SAFE: None})
    assert record.verdicts == {}


def test_a_path_on_which_the_device_was_lost_is_refused_from_then_on(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path, KEY)
    with pytest.raises(DeviceError), record.trying(TRITON):
        raise DeviceError("CUDA error: an illegal memory access was encountered")
    assert "illegal memory access" in TrialRecord(tmp_path, KEY).lost[TRITON]


def test_the_safe_path_is_never_refused(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path, KEY)
    with pytest.raises(DeviceError), record.trying(SAFE):
        raise DeviceError("CUDA error: uncorrectable ECC error")
    record.lose(SAFE, "the device was lost")
    assert record.lost == {}


@pytest.mark.parametrize(
    ("pid", "age", "ended"),
    [("own", 0, True), ("none", 0, True), ("parent", 0, False), ("parent", 61, True)],
)
def test_a_path_that_ended_a_process_is_refused(
    tmp_path: Path, pid: str, age: float, ended: bool
) -> None:
    """A mark of another process that is alive, such as another worker's, says nothing yet."""
    record = TrialRecord(tmp_path, KEY)
    with record.trying(TRITON):
        (file,) = tmp_path.glob("*.json")
        left = json.loads(file.read_text(encoding="utf-8"))
    assert record.lost == {}
    pids = {"own": os.getpid(), "none": 2**22 + 1, "parent": os.getppid()}
    left["trying"]["triton"] = [pids[pid], time.time() - age]
    file.write_text(json.dumps(left), encoding="utf-8")
    assert (TRITON in record.lost) is ended


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


@pytest.mark.usefixtures("on_gpu")
def test_a_path_that_went_wrong_later_is_refused_at_the_next_start(
    model: Any, tmp_path: Path
) -> None:
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
