"""The bench: a device, the models on it, and how much is measured."""

from __future__ import annotations

import gc
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.lib.report import Row
from voxcpm_openai.runtime.device.capture import Capture, CudaCapture
from voxcpm_openai.runtime.device.loader import load_model, make_ops
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import checkpoints, tiny_checkpoints

LENGTH = 1024  # positions of a slot, as in the engine; fewer where the model has fewer


@dataclass(frozen=True, slots=True)
class Scale:
    size: str
    first: tuple[int, ...]  # numbers of rows to measure first,
    sweep: tuple[int, ...]  # and the others,
    warm: int  # after this many patches
    patches: int
    repeats: int
    listeners: tuple[int, ...]  # numbers of clients,
    spoken: int  # patches of their utterances,
    span: float  # and the seconds in which they arrive, if not at once
    most_slots: int  # the end of the search for the slots that fit
    models: tuple[str, ...] = ("2", "1.5")


SCALES = {
    "true": Scale("true", (1, 8, 64), (2, 4, 16, 32, 128, 256), 4, 16, 5, (64, 256, 1, 8, 32, 128),
                  32, 15.0, 8192),
    "tiny": Scale("tiny", (1, 3), (2,), 2, 4, 2, (3, 1), 5, 1.0, 8),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """One row to measure.  ``early``: it comes before the others of all parts."""

    label: str
    measure: Callable[[], Row]
    early: bool = False


R = TypeVar("R")


class Bench:
    """Owns the models, each loaded at its first use, and one resource at a time."""

    def __init__(self, device: str, scale: Scale, weights: Path, kernels: str = "torch") -> None:
        """``weights``: a folder for the checkpoints; those of the true sizes take 7 GB on a GPU."""
        # With its number, which some of torch's functions need.
        self.device = torch.device("cuda", 0) if device == "cuda" else torch.device(device)
        self.scale = scale
        self.kernels = kernels
        self.on_gpu = device == "cuda"
        self.true = scale.size == "true"
        self.dtype = "bfloat16" if self.on_gpu else "float32"
        self._weights = weights
        self._models: dict[str, VoxCPM] = {}
        self._resource: tuple[str, Any] | None = None
        self._failed: set[str] = set()

    def sweep(self, unit: str, measure: Callable[[Bench, str, int], Row]) -> Iterator[Task]:
        """Yield the first numbers of rows for all models; then the others, small ones first."""
        for counts in (self.scale.first, self.scale.sweep):
            for model in self.scale.models:
                for count in counts:
                    found = partial(measure, self, model, count)
                    yield Task(f"{model}, {count} {unit}", found, counts is self.scale.first)

    def row(self, model: str) -> Row:
        return {"model": model, "dtype": self.dtype}

    def machine(self) -> dict[str, str]:
        """Return what the figures are measured on: they mean nothing without it."""
        gpu = self.on_gpu
        return {
            "device": torch.cuda.get_device_name() if gpu else f"cpu {platform.machine()}",
            "driver": _driver() if gpu else "",
            "torch": torch.__version__,
            "python": platform.python_version(),
        }

    def folder(self, model: str) -> Path:
        """Return the checkpoint of a model, which is made unless it is there."""
        if self.true:
            dtype = getattr(torch, self.dtype)
            return checkpoints.make(self._weights, model, device=str(self.device), dtype=dtype)
        folder, kind = self._weights / f"tiny-{model}", checkpoints.KINDS[model]
        return folder if folder.exists() else tiny_checkpoints.make(folder, kind)

    def model(self, model: str) -> VoxCPM:
        if model not in self._models:
            self._models[model] = self.load(self.folder(model), self.dtype)
        return self._models[model]

    def restore(self, model: str) -> None:
        """Give a model the operators again that it was loaded with."""
        self.model(model).use(make_ops(self.kernels, self.device))

    def load(self, folder: Path, dtype: str) -> VoxCPM:
        return load_model(folder, str(self.device), dtype, self.kernels)

    def resource(self, key: str, make: Callable[[], R]) -> R:
        """Return what holds memory from one row to the next and has ``close``, made once by key.

        One of another key is closed before.  Raises RuntimeError for one that failed before.
        """
        if key in self._failed:
            raise RuntimeError(f"{key} has failed before.")
        if self._resource is None or self._resource[0] != key:
            self.close()
            self._failed.add(key)
            self._resource = key, make()
            self._failed.remove(key)
        made: R = self._resource[1]
        return made

    def close(self, *, failed: bool = False) -> None:
        if self._resource is not None:
            key, resource = self._resource
            self._resource = None
            if failed:
                self._failed.add(key)
            resource.close()
            del resource
            self.free_memory()

    def length(self, model: VoxCPM) -> int:
        return min(LENGTH, model.config.max_length)

    def capture(self) -> Capture | None:
        """Return what captures CUDA graphs, with memory of their own; None on a CPU."""
        return CudaCapture(self.device) if self.on_gpu else None

    def free_memory(self) -> int:
        """Return the bytes of the device's memory that are free, caches emptied; 0 on a CPU."""
        gc.collect()
        if not self.on_gpu:
            return 0
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(self.device)[0]


def missing(packages: Sequence[str]) -> list[str]:
    return [name for name in packages if find_spec(name) is None]


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"
