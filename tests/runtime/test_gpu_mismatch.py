"""A GPU that the installed PyTorch cannot use: the engine says so instead of using the CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.runtime.utterances import settings_of
from tests.support.stock import load_plugin
from voxcpm_openai import gpus
from voxcpm_openai.errors import SettingsError, StartError
from voxcpm_openai.registry import choose_engine, load_registry
from voxcpm_openai.runtime import gpu
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.setting_sources import RawSettings
from voxcpm_openai.settings import Settings

plugin: Any = load_plugin("voxcpm_engine")
VERSION = "__version__ = '{}'\ndebug = False\ncuda: Optional[str] = {}\nhip: Optional[str] = None\n"
CPU_BUILD = ("2.13.0+cpu", None)


class Machine:
    """Replaces the GPU, its driver and the installed PyTorch, as files and as ``torch``."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, patch
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def has(self, driver: int | None, version: str, cuda: str | None, *, here: bool = True) -> None:
        """``driver``: the version of CUDA as the driver tells it; None if it is not installed."""
        patch = self._patch
        patch.setattr(gpus, "DEV", self._folder / "dev")
        (self._folder / "dev").mkdir(exist_ok=True)
        if here:
            (self._folder / "dev" / "nvidia0").touch()
        (self._folder / "version.py").write_text(VERSION.format(version, cuda and f"'{cuda}'"))
        spec = SimpleNamespace(submodule_search_locations=[str(self._folder)])
        patch.setattr(gpu, "find_spec", lambda _: spec)

        def library(name: str) -> object:
            if driver is None:
                raise OSError(f"{name}: cannot open shared object file")
            return SimpleNamespace(cuDriverGetVersion=self._tells(driver))

        patch.setattr(ctypes, "CDLL", library)
        usable = here and cuda is not None and driver is not None
        usable = usable and int(cuda.split(".")[0]) <= driver // 1000
        patch.setattr(torch.cuda, "is_available", lambda: usable)
        patch.setattr(torch, "__version__", version)
        patch.setattr(torch.version, "cuda", cuda)

    @staticmethod
    def _tells(version: int) -> Callable[[Any], int]:
        def tell(pointer: Any) -> int:
            pointer._obj.value = version
            return 0

        return tell


@pytest.fixture(name="machine")
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("driver", "version", "cuda", "names"),
    [
        (12020, "2.13.0+cu130", "13.0", ["CUDA 13.0", "CUDA 12.2", "build for CUDA 12"]),
        (11080, "2.9.0+cu128", "12.8", ["CUDA 12.8", "CUDA 11.8"]),
        (12040, *CPU_BUILD, ["2.13.0+cpu", "CUDA 12.4", "PyTorch for CUDA 12"]),
        (None, *CPU_BUILD, ["2.13.0+cpu"]),
    ],
)
def test_a_build_that_does_not_fit_the_driver_is_named_with_both_versions(
    machine: Machine, driver: int | None, version: str, cuda: str | None, names: list[str]
) -> None:
    machine.has(driver, version, cuda)
    reason = gpu.mismatch()
    assert reason is not None
    assert all(name in reason for name in [*names, "VOXCPM_DEVICE=cpu"])
    for asked in ("auto", "cuda", "cuda:1"):
        with pytest.raises(StartError) as caught:
            devices.choose(asked)
        assert reason in str(caught.value)
    assert devices.choose("cpu") == "cpu"


@pytest.mark.parametrize(
    ("driver", "version", "cuda"),
    [
        (12020, "2.9.0+cu128", "12.8"),  # a driver runs all builds for its major version
        (13000, "2.9.0+cu128", "12.8"),
        (12040, "2.6.0", "12.4"),
    ],
)
def test_a_build_that_fits_is_used(machine: Machine, driver: int, version: str, cuda: str) -> None:
    machine.has(driver, version, cuda)
    assert gpu.mismatch() is None
    assert [devices.choose(asked) for asked in ("auto", "cuda:1", "cpu")] == [
        "cuda",
        "cuda:1",
        "cpu",
    ]


def test_without_a_gpu_auto_is_the_cpu(machine: Machine) -> None:
    machine.has(None, *CPU_BUILD, here=False)
    assert gpu.mismatch() is None
    assert devices.choose("auto") == "cpu"
    with pytest.raises(StartError, match=r"2\.13\.0\+cpu"):
        devices.choose("cuda")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_that_is_hidden_is_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    machine.has(12040, *CPU_BUILD)
    assert gpus.present()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not gpus.present()
    assert devices.choose("auto") == "cpu"


def test_a_gpu_that_fails_for_another_reason_is_a_start_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has(12040, "2.9.0+cu128", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StartError, match=r"2\.9\.0\+cu128 for CUDA 12\.8 .* takes CUDA 12\.4"):
        devices.choose("auto")


def test_the_engine_is_refused_by_name_and_auto_takes_the_next(
    checkpoint: Callable[[str], Path], machine: Machine
) -> None:
    environ = {"VOXCPM_MODEL": str(checkpoint("voxcpm15"))}
    settings = Settings(raw=RawSettings(environ=environ))
    registry = load_registry(settings)
    machine.has(12020, "2.13.0+cu130", "13.0")
    with pytest.raises(SettingsError, match=r"'voxcpm': PyTorch .* CUDA 13\.0, .* CUDA 12\.2"):
        choose_engine(registry, replace(settings, engine="voxcpm"))
    choice = choose_engine(registry, replace(settings, engine="auto"))
    assert choice.spec.name == "embedded"
    assert "voxcpm: PyTorch 2.13.0+cu130 is built for CUDA 13.0" in choice.reason


def test_an_engine_for_the_cpu_needs_no_driver(
    checkpoint: Callable[[str], Path], machine: Machine
) -> None:
    machine.has(12020, *CPU_BUILD)
    settings = settings_of(checkpoint("voxcpm15"), engine="voxcpm")
    assert plugin.unavailable_reason(settings) is None


def test_the_installed_pytorch_is_read_without_an_import() -> None:
    build = gpu.torch_build()
    assert build is not None
    assert build[:3] == (torch.__version__, torch.version.cuda, torch.version.hip)
    assert gpu.driver_cuda() is None or gpus.present()
