"""Which accelerator the installed PyTorch is built for, and whether it fits the GPU's driver.

Asked in the master process too, so PyTorch is not imported and CUDA not initialized: it would not
survive a fork.
"""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from voxcpm_openai.gpus import amd_present, intel_present, present

DRIVER = "libcuda.so.1"
"""The library that comes with the driver."""
DRIVER_FILE = Path("/proc/driver/nvidia/version")
"""Where the driver's module tells its version."""

_VALUE = r"^{}\b[^=\n]*= *'([^']+)'"  # of a name in PyTorch's file


class TorchBuild(NamedTuple):
    """The installed PyTorch: its version, and those of CUDA, ROCm and XPU that it is built for."""

    version: str
    cuda: str | None
    hip: str | None
    xpu: str | None


def accelerator() -> str | None:
    """Return the accelerator that PyTorch is built for and that is here, or None.

    ``cuda``, which is AMD's too, ``xpu`` or ``mps``.  By the files of PyTorch and of the drivers:
    PyTorch may still be unable to use it.
    """
    build = torch_build()
    if build is None:
        return None
    if build.cuda:
        return "cuda" if present() else None
    if build.hip:
        return "cuda" if amd_present() else None
    if build.xpu:
        return "xpu" if intel_present() else None
    # PyTorch for Apple's processors always has MPS.
    return "mps" if (sys.platform, platform.machine()) == ("darwin", "arm64") else None


def mismatch(device: str = "auto") -> str | None:
    """Return why PyTorch cannot use the GPU of NVIDIA's that is here, with both versions, or None.

    None if there is no such GPU, no PyTorch, or nothing is known to be wrong, if PyTorch is built
    for another accelerator that is here, and if ``device``, a setting, is not for such a GPU.
    """
    wanted = device.startswith(("auto", "cuda"))
    build = torch_build() if wanted and present() else None
    if build is None or (build.cuda is None and accelerator() is not None):
        return None
    version, cuda, _, _ = build
    driver = driver_cuda()
    takes = f"takes CUDA {driver} at most" if driver else "is there"
    if cuda is None:
        fitting = f" {driver.split('.')[0]}" if driver else ""
        return (
            f"PyTorch {version} is a build without CUDA, but a GPU is here, whose driver {takes}. "
            f"Install a build of PyTorch for CUDA{fitting}, or set VOXCPM_DEVICE=cpu."
        )
    # A driver runs all builds for its major version of CUDA.
    if driver is not None and int(driver.split(".")[0]) < int(cuda.split(".")[0]):
        return (
            f"PyTorch {version} is built for CUDA {cuda}, but the GPU's driver {takes}. Update the "
            f"driver, install a build for CUDA {driver.split('.')[0]}, or set VOXCPM_DEVICE=cpu."
        )
    return None


def driver_cuda() -> str | None:
    """Return the newest CUDA that the driver takes, such as ``12.4``; None if it does not say."""
    version = ctypes.c_int()
    try:
        failed = ctypes.CDLL(DRIVER).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else f"{version.value // 1000}.{version.value % 1000 // 10}"


def driver_version() -> str | None:
    """Return the version of NVIDIA's driver, such as ``580.65.06``; None if it does not say."""
    try:
        text = DRIVER_FILE.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"\d+\.\d+(\.\d+)?", text)
    return found[0] if found else None


def torch_build() -> TorchBuild | None:
    """Return what the installed PyTorch is built for; None without PyTorch."""
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        text = (Path(spec.submodule_search_locations[0]) / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    version, *built_for = (
        found[1] if (found := re.search(_VALUE.format(name), text, re.MULTILINE)) else None
        for name in ("__version__", "cuda", "hip", "xpu")
    )
    return TorchBuild(version, *built_for) if version else None
