"""The bench: a device, the models on it, and what measuring on it takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import torch

from benchmarks import checkpoints
from tests.runtime import tiny
from voxcpm_openai.runtime.graphs import Capture, CudaCapture
from voxcpm_openai.runtime.loader import load_model
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

STEPS, CFG = 10, 2.0
"""Of the solver, and its guidance: all figures are of these."""
LENGTH = 1024
"""Positions of a slot, as the engine has them; fewer where the model has fewer."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    ``first``: numbers of rows that tell most, ``sweep``: the others.  Each of ``repeats`` times
    ``patches`` patches, behind ``warm`` ones that do not count.  ``listeners``: numbers of those
    who hear utterances of ``spoken`` patches; they come in one burst, or over ``span`` seconds.
    ``most_slots``: where the search for what fits ends.
    """

    size: str
    models: tuple[str, ...]
    first: tuple[int, ...]
    sweep: tuple[int, ...]
    warm: int
    patches: int
    repeats: int
    listeners: tuple[int, ...]
    spoken: int
    span: float
    most_slots: int


TRUE = Scale(
    size="true",
    models=("2", "1.5"),
    first=(1, 8, 64),
    sweep=(2, 4, 16, 32, 128, 256),
    warm=4,
    patches=16,
    repeats=5,
    listeners=(64, 256, 1, 8, 32, 128),
    spoken=32,
    span=15.0,
    most_slots=8192,
)
TINY = Scale(
    size="tiny",
    models=("2", "1.5"),
    first=(1, 3),
    sweep=(2,),
    warm=2,
    patches=4,
    repeats=2,
    listeners=(3, 1),
    spoken=5,
    span=1.0,
    most_slots=8,
)


@dataclass(frozen=True, slots=True)
class Task:
    """One row to be measured; ``measure`` returns a frozen dataclass of JSON values.

    ``telling``: it says most, and comes before the rest of all parts.
    """

    label: str
    measure: Callable[[], Any]
    telling: bool = False


class Guest(Protocol):
    """What holds memory of the device from one row to the next."""

    def close(self) -> None:
        """Give it back."""


G = TypeVar("G", bound=Guest)


class Bench:
    """Owns the models; each is loaded once, at its first use."""

    def __init__(self, device: str, scale: Scale, weights: Path, kernels: str = "torch") -> None:
        """``device``: ``cuda`` or ``cpu``.  ``weights``: a folder for the checkpoints; those of the
        true sizes take 7 GB on a GPU.  ``kernels``: of the models, ``torch`` or ``triton``.
        """
        # With its number, which some of torch's functions ask for.
        self.device = torch.device("cuda", 0) if device == "cuda" else torch.device(device)
        self.scale = scale
        self.kernels = kernels
        self.dtype = "bfloat16" if self.on_gpu else "float32"
        self._weights = weights
        self._models: dict[str, VoxCPM] = {}
        self._guest: tuple[str, Guest] | None = None
        self._given_up: set[str] = set()

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def folder(self, model: str) -> Path:
        """Return the checkpoint of a model, one of ``checkpoints.KINDS``; it may be made first."""
        if self.scale.size == "true":
            dtype = getattr(torch, self.dtype)
            return checkpoints.make(self._weights, model, device=str(self.device), dtype=dtype)
        folder = self._weights / f"tiny-{model}"
        return folder if folder.exists() else tiny.make(folder, checkpoints.KINDS[model])

    def model(self, model: str) -> VoxCPM:
        """Return a model on the device, in the bench's dtype."""
        if model not in self._models:
            self._models[model] = self.load(self.folder(model), self.dtype)
        return self._models[model]

    def load(self, folder: Path, dtype: str) -> VoxCPM:
        """Return a checkpoint on the device, with the bench's kernels."""
        return load_model(folder, str(self.device), dtype, self.kernels)

    def host(self, key: str, invite: Callable[[], G]) -> G:
        """Return the guest of this key; one of another key leaves before it comes.

        Raises RuntimeError for one that did not come, or was given up: minutes would go by until it
        failed once more.
        """
        if key in self._given_up:
            raise RuntimeError(f"{key} has failed before.")
        if self._guest is None or self._guest[0] != key:
            self.dismiss()
            self._given_up.add(key)
            self._guest = key, invite()
            self._given_up.remove(key)
        return cast(G, self._guest[1])

    def give_up(self) -> None:
        """Let the guest leave and not come again: what failed is not to be used."""
        if self._guest is not None:
            self._given_up.add(self._guest[0])
        self.dismiss()

    def dismiss(self) -> None:
        """Let the guest leave, if there is one."""
        guest, self._guest = self._guest, None
        if guest is not None:
            guest[1].close()
            del guest
            self.free_memory()

    def length(self, model: VoxCPM) -> int:
        """Return the positions of a slot."""
        return min(LENGTH, model.config.max_length)

    def capture(self) -> Capture | None:
        """Return what captures CUDA graphs, with memory of their own; None on a CPU."""
        return CudaCapture(self.device) if self.on_gpu else None

    def synchronize(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def mark(self) -> Mark:
        """Note this moment on the device, without waiting for it."""
        return Mark(self.on_gpu)

    def free_memory(self) -> int:
        """Return the bytes of the device's memory that are free, caches emptied; 0 on a CPU."""
        gc.collect()
        if not self.on_gpu:
            return 0
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self.device)
        return free

    def begin_peak(self) -> None:
        """Let ``peak_memory`` count from here."""
        self.free_memory()
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_memory(self) -> float | None:
        """Return the most memory in use since ``begin_peak``, in GiB; None on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) / 2**30 if self.on_gpu else None


class Mark:
    """A moment: when the device comes to it, or on a CPU when it was made."""

    def __init__(self, on_gpu: bool) -> None:
        self._event = _event() if on_gpu else None
        if self._event is not None:
            self._event.record()
        self._seconds = time.perf_counter()

    def until(self, later: Mark) -> float:
        """Return the milliseconds up to a later mark; the device must have passed both."""
        if self._event is None or later._event is None:
            return (later._seconds - self._seconds) * 1e3
        return float(self._event.elapsed_time(later._event))


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
