"""How many workers a server has, and what ``check`` says about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner, Result

from tests.support.fake_gpus import PLUGIN, hide_gpus, list_gpus, many
from voxcpm_openai.cli import main
from voxcpm_openai.contract_checks import spec_problems
from voxcpm_openai.contracts import EngineSpec
from voxcpm_openai.errors import PluginError, StartError
from voxcpm_openai.lifecycle import EngineLifecycle
from voxcpm_openai.registry import EngineChoice, load_registry
from voxcpm_openai.settings import Settings, load_settings
from voxcpm_openai.worker_plan import WorkerPlan, plan_workers


@pytest.fixture(autouse=True)
def no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_gpus(monkeypatch, tmp_path)


def choice(device: Any = None) -> EngineChoice:
    def start(_settings: Settings) -> Any:
        raise AssertionError("a plan starts no engine")

    spec = EngineSpec("some", start, **({"device": device} if device else {}))
    return EngineChoice(spec, "some_plugin", "it is the only one")


@pytest.mark.parametrize("name", ["voxcpm", "upstream"])
@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_the_engines_of_voxcpm_run_where_the_setting_says(name: str, device: str) -> None:
    settings = load_settings({"VOXCPM_DEVICE": device})
    assert load_registry(settings).engines[name].device(settings) == device


def plan(device: str, workers: int | Literal["auto"] = "auto") -> WorkerPlan:
    return plan_workers(Settings(), choice(lambda _: device), workers)


@pytest.mark.parametrize(
    ("device", "visible", "workers", "gpus", "reason"),
    [
        ("cuda", "0,1,2", 3, ("0", "1", "2"), "one for each GPU: 0, 1, 2"),
        ("auto", "0,1,2", 3, ("0", "1", "2"), "one for each GPU: 0, 1, 2"),
        ("cuda:1", "5,7", 1, ("7",), "the engine runs on cuda:1"),
        ("cpu", "0,1,2", 1, (), "the engine runs on cpu"),
        ("mps", "0,1,2", 1, (), "the engine runs on mps"),
        ("xpu", "0,1,2", 1, (), "the engine runs on xpu"),
        ("auto", "-1", 1, (), "the environment hides all GPUs"),
        ("auto", None, 1, (), "no GPU was found"),
        ("cuda", None, 1, (), "no GPU was found"),
    ],
)
def test_auto_is_one_worker_for_each_gpu(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    visible: str | None,
    workers: int,
    gpus: tuple[str, ...],
    reason: str,
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert plan(device) == WorkerPlan(workers, reason, gpus)


def test_an_engine_that_says_nothing_of_devices_has_one_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert plan_workers(Settings(), choice(), "auto").workers == 1


@pytest.mark.parametrize(
    ("device", "visible", "workers", "warning"),
    [
        ("cuda", "0,1", 2, None),
        ("cuda", "0,1", 1, None),
        ("cuda", "0,1", 3, "3 workers share 2 GPUs (0, 1), each with a model of its own"),
        ("cuda:1", "0,1", 2, "2 workers share one GPU (1), each with a model of its own"),
        ("cpu", "0,1", 8, None),
        ("auto", "-1", 8, None),
        ("auto", None, 8, None),
    ],
)
def test_more_workers_than_gpus_are_a_warning(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    visible: str | None,
    workers: int,
    warning: str | None,
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    made = plan(device, workers)
    assert made.workers == workers
    assert len(made.warnings) == bool(warning)
    assert (warning or "") in "".join(made.warnings)


def test_a_plugin_that_cannot_tell_its_device_is_named() -> None:
    with pytest.raises(PluginError, match=r"'some_plugin': device of 'some' failed: ZeroDivision"):
        plan_workers(Settings(), choice(lambda _: 1 // 0), "auto")
    with pytest.raises(PluginError, match="device of 'some' returned 7, not a string"):
        plan_workers(Settings(), choice(lambda _: 7), "auto")
    spec = choice("cuda").spec
    assert spec_problems(spec) == ["device = 'cuda': must be callable"]


def test_a_process_that_is_no_worker_sees_only_the_gpu_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    seen = []

    def start(_settings: Settings) -> Any:
        import os

        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        raise StartError("enough")

    spec = EngineSpec("some", start, device=lambda _: "cuda:1")
    for _ in range(2):
        with pytest.raises(StartError, match="enough"):
            EngineLifecycle(EngineChoice(spec, "some_plugin", ""), Settings()).run()
    assert seen == ["7", "7"]


def check(tmp_path: Path, **environ: str) -> Result:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "graphics.py").write_text(PLUGIN)
    settings = {"VOXCPM_PLUGINS_DIR": str(tmp_path / "plugins"), "VOXCPM_ENGINE": "graphics"}
    return CliRunner().invoke(main, ["check"], env={**settings, **environ})


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({}, "workers: 4 (one for each GPU: 0, 1, 2, 3)"),
        ({"VOXCPM_WORKERS": "auto"}, "workers: 4 (one for each GPU: 0, 1, 2, 3)"),
        ({"VOXCPM_WORKERS": "2"}, "workers: 2 (as it is set)"),
        ({"VOXCPM_GRAPHICS_DEVICE": "cpu"}, "workers: 1 (the engine runs on cpu)"),
        ({"VOXCPM_GRAPHICS_DEVICE": "cuda:3"}, "workers: 1 (the engine runs on cuda:3)"),
    ],
)
def test_check_says_how_many_workers_there_would_be_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], line: str
) -> None:
    list_gpus(monkeypatch, tmp_path, many(4))
    result = check(tmp_path, **environ)
    assert result.exit_code == 0, result.output
    assert f"\n{line}\n" in result.stdout


def test_check_warns_of_shared_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_gpus(monkeypatch, tmp_path, many(2))
    assert "warning: 3 workers share 2 GPUs" in check(tmp_path, VOXCPM_WORKERS="3").stderr


def test_check_refuses_a_gpu_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_gpus(monkeypatch, tmp_path, many(2))
    result = check(tmp_path, VOXCPM_GRAPHICS_DEVICE="cuda:2")
    assert result.exit_code == 1
    assert "wrong: the engine is to run on cuda:2; the GPUs that can be used" in result.stderr
