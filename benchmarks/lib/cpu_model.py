"""A model as the voxcpm engine loads it on a CPU.  The server's packages are needed for it."""

from __future__ import annotations

from pathlib import Path

from voxcpm_openai.runtime import dtype_times
from voxcpm_openai.runtime.device import cpu_dtype
from voxcpm_openai.runtime.device.cpu_operators import use_cpu_operators
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.model.ops import Ops
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.settings import load_settings


def cpu_model(folder: Path, dtype: str, kernels: str) -> tuple[VoxCPM, Ops]:
    """Load a model as a start on a CPU does; return the operators that it runs on, too."""
    model = load_model(folder, "cpu", dtype)
    fastest = dtype_times.choice(cpu_dtype.measure())
    cache = load_settings({}).cache_folder / "operators"
    return model, use_cpu_operators(model, kernels, cache, fastest)
