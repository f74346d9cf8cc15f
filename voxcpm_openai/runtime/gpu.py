"""Whether the installed PyTorch fits the driver of the machine's GPU.

Asked in the master process too, so PyTorch is not imported and CUDA not initialized: it would not
survive a fork.
"""

from __future__ import annotations

import ctypes
import re
from importlib.util import find_spec
from pathlib import Path

from voxcpm_openai.gpus import present

__all__ = ["driver_cuda", "mismatch", "present", "torch_build"]

DRIVER = "libcuda.so.1"
"""The library that comes with the driver."""


def mismatch() -> str | None:
    """Return why PyTorch cannot use the GPU that is here, with both versions, or None.

    None if there is no GPU, no PyTorch, or nothing is known to be wrong.
    """
    build = torch_build() if present() else None
    if build is None:
        return None
    version, cuda = build
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


def torch_build() -> tuple[str, str | None] | None:
    """Return the installed PyTorch's version, and its CUDA or None; None without PyTorch."""
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        text = (Path(spec.submodule_search_locations[0]) / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    version, cuda = (
        re.search(rf"^{name}\b[^=\n]*= *'([^']+)'", text, re.MULTILINE)
        for name in ("__version__", "cuda")
    )
    return (version[1], cuda[1] if cuda else None) if version else None
