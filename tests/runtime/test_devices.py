"""Which accelerator is chosen, and what is asked of PyTorch's modules for it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.fake_gpus import hide_gpus
from tests.support.runtime.utterances import settings_of
from tests.support.stock import load_plugin
from voxcpm_openai import gpus
from voxcpm_openai.errors import SettingsError, StartError
from voxcpm_openai.registry import load_registry
from voxcpm_openai.runtime import gpu
from voxcpm_openai.runtime.device import devices, memory
from voxcpm_openai.runtime.gpu import TorchBuild
from voxcpm_openai.runtime.settings import VoxcpmSettings
from voxcpm_openai.settings import load_settings

CPU = TorchBuild("2.13.0", None, None, None)
CUDA = TorchBuild("2.13.0+cu130", "13.0", None, None)
ROCM = TorchBuild("2.13.0+rocm7.2", None, "7.2", None)
XPU = TorchBuild("2.13.0+xpu", None, None, "20260100")
MAC, LINUX = ("darwin", "arm64"), ("linux", "x86_64")
Files = tuple[str, ...]


@pytest.fixture(name="machine")
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set a PyTorch, the files of drivers and the system, and what PyTorch can use."""
    hide_gpus(monkeypatch, tmp_path)
    monkeypatch.setattr(gpus, "DRM", tmp_path / "drm")

    def has(
        build: TorchBuild | None,
        files: Files = (),
        usable: Files = (),
        system: tuple[str, str] = LINUX,
    ) -> None:
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("0x8086\n" if "intel" in name else "0x1002\n")
        monkeypatch.setattr(gpu, "torch_build", lambda: build)
        monkeypatch.setattr(gpu, "driver_cuda", lambda: None)
        monkeypatch.setattr(sys, "platform", system[0])
        monkeypatch.setattr(platform, "machine", lambda: system[1])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in usable)
        monkeypatch.setattr(torch.xpu, "is_available", lambda: "xpu" in usable)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in usable)
        monkeypatch.setattr(torch.version, "hip", build.hip if build else None)

    return has


NVIDIA_FILES, AMD_FILES, WSL = ("dev/nvidia0",), ("dev/kfd",), ("dev/dxg",)
INTEL_FILES = ("drm/renderD128intel/device/vendor",)
AMD_CARD = ("drm/renderD128/device/vendor",)


@pytest.mark.parametrize(
    ("build", "files", "system", "found"),
    [
        (CUDA, NVIDIA_FILES, LINUX, "cuda"),
        (CUDA, WSL, LINUX, "cuda"),
        (CUDA, AMD_FILES, LINUX, None),
        (CUDA, (), LINUX, None),
        (ROCM, AMD_FILES, LINUX, "cuda"),
        (ROCM, WSL, LINUX, "cuda"),
        (ROCM, NVIDIA_FILES, LINUX, None),
        (XPU, INTEL_FILES, LINUX, "xpu"),
        (XPU, WSL, LINUX, "xpu"),
        (XPU, AMD_CARD, LINUX, None),
        (CPU, (*NVIDIA_FILES, *AMD_FILES, *INTEL_FILES), LINUX, None),
        (CPU, (), MAC, "mps"),
        (CPU, (), ("darwin", "x86_64"), None),
        (CPU, (), ("linux", "arm64"), None),
        (None, (*NVIDIA_FILES, *AMD_FILES), MAC, None),
    ],
)
def test_an_accelerator_is_found_by_files_of_its_driver_and_of_pytorch(
    machine: Callable[..., None],
    build: TorchBuild | None,
    files: Files,
    system: tuple[str, str],
    found: str | None,
) -> None:
    machine(build, files, system=system)
    assert gpu.accelerator() == found
    assert gpu.mismatch() is None or found is None


def test_an_amd_gpu_that_is_hidden_is_none(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(ROCM, AMD_FILES)
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "-1")
    assert gpu.accelerator() is None


@pytest.mark.parametrize(
    ("build", "files", "usable", "asked", "chosen"),
    [
        (CPU, (), (), "auto", "cpu"),
        (CUDA, NVIDIA_FILES, ("cuda",), "auto", "cuda"),
        (ROCM, AMD_FILES, ("cuda",), "auto", "cuda"),
        (ROCM, AMD_FILES, ("cuda",), "cuda:1", "cuda:1"),
        (XPU, INTEL_FILES, ("xpu",), "auto", "xpu"),
        (XPU, (*INTEL_FILES, *NVIDIA_FILES), ("xpu",), "auto", "xpu"),
        (CPU, (), ("mps",), "auto", "mps"),
        (CPU, (), ("mps",), "mps", "mps"),
        (CPU, (), ("mps",), "cpu", "cpu"),
        (CUDA, NVIDIA_FILES, ("cuda", "xpu"), "xpu", "xpu"),
        (CUDA, NVIDIA_FILES, ("cuda", "xpu"), "auto", "cuda"),
    ],
)
def test_auto_is_what_pytorch_can_use(
    machine: Callable[..., None],
    build: TorchBuild,
    files: Files,
    usable: Files,
    asked: str,
    chosen: str,
) -> None:
    machine(build, files, usable)
    assert devices.choose(asked) == chosen


@pytest.mark.parametrize(
    ("build", "files", "system", "asked", "reason"),
    [
        (CPU, (), LINUX, "mps", r"'mps': PyTorch .* finds no GPU of Apple's .* VOXCPM_DEVICE=cpu"),
        (CPU, (), LINUX, "xpu", r"'xpu': PyTorch .* finds no GPU of Intel's .* VOXCPM_DEVICE=cpu"),
        (CPU, (), MAC, "auto", r"'auto': PyTorch .* finds no GPU of Apple's"),
        (XPU, INTEL_FILES, LINUX, "auto", r"'auto': PyTorch .* finds no GPU of Intel's"),
        (ROCM, AMD_FILES, LINUX, "auto", r"'auto': PyTorch .* for ROCm 7\.2 finds .* /dev/kfd"),
        (ROCM, (), LINUX, "cuda:1", r"'cuda:1': PyTorch .* for ROCm 7\.2 finds no GPU"),
        (CUDA, NVIDIA_FILES, LINUX, "auto", r"'auto': PyTorch .* finds no GPU that it can use"),
    ],
)
def test_a_device_that_pytorch_cannot_use_is_a_start_error(
    machine: Callable[..., None],
    build: TorchBuild,
    files: Files,
    system: tuple[str, str],
    asked: str,
    reason: str,
) -> None:
    machine(build, files, system=system)
    with pytest.raises(StartError, match=f"^VOXCPM_DEVICE = {reason}"):
        devices.choose(asked)


@pytest.mark.parametrize(
    ("device", "hip", "properties", "dtype"),
    [
        ("cuda", None, {}, "bfloat16"),
        ("cuda", "7.2", {"gcnArchName": "gfx942:sramecc+:xnack-"}, "bfloat16"),
        ("cuda", "7.2", {"gcnArchName": "gfx1100"}, "bfloat16"),
        ("cuda", "7.2", {"gcnArchName": "gfx1030"}, "float32"),
        ("cuda", "7.2", {"gcnArchName": "gfx906:sramecc-:xnack-"}, "float32"),
        ("xpu", None, {"has_subgroup_matrix_multiply_accumulate": True}, "bfloat16"),
        ("xpu", None, {"has_subgroup_matrix_multiply_accumulate": False}, "float32"),
        ("xpu", None, {}, "float32"),
        ("mps", None, {}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_products_of_it_are_fast(
    monkeypatch: pytest.MonkeyPatch, device: str, hip: str | None, properties: Any, dtype: str
) -> None:
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    for module in (torch.cuda, torch.xpu):
        found = lambda _: SimpleNamespace(**properties)  # noqa: E731
        monkeypatch.setattr(module, "get_device_properties", found)
    assert devices.best_dtype(device) == dtype
    assert devices.is_nvidia(torch.device(device)) is (device == "cuda" and hip is None)


def test_each_accelerator_tells_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (5, 9))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 2)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 20)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 4)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 3)
    card = SimpleNamespace(total_memory=30)
    monkeypatch.setattr(torch.xpu, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.xpu, "memory_reserved", lambda _: 10)
    monkeypatch.setattr(torch.xpu, "memory_allocated", lambda _: 6)
    told = {
        kind: (devices.free_bytes(torch.device(kind)), devices.used_bytes(torch.device(kind)))
        for kind in ("cuda", "mps", "xpu")
    }
    assert told == {"cuda": (5, 2), "mps": (16, 3), "xpu": (20, 6)}


def test_check_tells_the_memory_of_another_accelerator(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(CPU, usable=("mps",))
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 20)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 4)
    for asked in ("auto", "cpu", "mps"):
        assert memory.this_gpu(asked) == ("Apple's GPU", 16)
    assert memory.this_gpu("xpu") is None
    machine(XPU, usable=("xpu",))
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 1)
    monkeypatch.setattr(torch.xpu, "get_device_name", lambda _: "Arc")
    monkeypatch.setattr(devices, "free_bytes", lambda _: 9)
    assert memory.this_gpu("auto") == ("Arc", 9)


@pytest.mark.parametrize("device", ["mps", "xpu"])
def test_the_engine_is_available_and_auto_takes_it_where_an_accelerator_is(
    checkpoint: Callable[[str], Path], machine: Callable[..., None], device: str
) -> None:
    plugin: Any = load_plugin("voxcpm_engine")
    folder = checkpoint("voxcpm15")
    if device == "mps":
        machine(CPU, system=MAC)
    else:
        machine(XPU, INTEL_FILES)
    for engine in ("auto", "voxcpm"):
        for asked in ("auto", device):
            settings = settings_of(folder, device=asked, engine=engine)
            assert plugin.unavailable_reason(settings) is None
    machine(CPU)
    reason = plugin.unavailable_reason(settings_of(folder, device=device, engine="auto"))
    assert reason == "no GPU is here; VOXCPM_ENGINE=voxcpm runs it on the CPU, slowly."
    with pytest.raises(StartError, match=f"VOXCPM_DEVICE = '{device}'"):
        plugin.start(settings_of(folder, device=device))


@pytest.mark.parametrize("name", ["voxcpm_engine", "upstream_engine"])
def test_a_gpu_of_nvidia_is_no_fault_where_another_accelerator_is_asked_for(
    checkpoint: Callable[[str], Path],
    machine: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    plugin: Any = load_plugin(name)
    monkeypatch.setattr(plugin, "PACKAGES", ())
    machine(CPU, NVIDIA_FILES)
    reasons = {
        device: plugin.unavailable_reason(
            settings_of(checkpoint("voxcpm15"), device=device, engine=name.partition("_")[0])
        )
        for device in ("auto", "cuda", "cpu", "mps", "xpu")
    }
    assert reasons["auto"] == reasons["cuda"] == gpu.mismatch()
    assert (reasons["cpu"], reasons["mps"]) == (None, None)
    refuses = "VOXCPM_DEVICE = 'xpu': this engine supports auto, cpu, cuda and mps."
    assert reasons["xpu"] == (refuses if name == "upstream_engine" else None)


def test_the_setting_takes_other_accelerators() -> None:
    for device in ("mps", "xpu"):
        settings = load_settings({"VOXCPM_DEVICE": device})
        assert settings.of(VoxcpmSettings).device == device
    for wrong in ("mps:0", "xpu:1", "tpu", "rocm"):
        settings = load_settings({"VOXCPM_DEVICE": wrong})
        with pytest.raises(SettingsError, match="VOXCPM_DEVICE"):
            load_registry(settings)
