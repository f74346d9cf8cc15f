"""Operators and captures with faults, and a clock that they move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from tests.support.runtime.tape import Recorder
from voxcpm_openai.runtime.device.capture import Run
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.trial import path_choice, path_trial, speech_check, trial_process

MODULES = (path_choice, path_trial, speech_check, trial_process)


@contextmanager
def small_trials() -> Iterator[None]:
    """Few steps of few rows."""
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            patch.setattr(module, "ROWS", (1, 2), raising=False)
        for name, value in {"REPLAYS": 2, "WARM": 1, "STEPS": 3}.items():
            patch.setattr(speech_check, name, value)
        yield


class FakeClock:
    """A clock that the steps move, and each look at it by a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class OtherOps(TorchOps):
    """PyTorch's operators under another name: each call takes ``seconds`` on a clock."""

    def __init__(self, clock: FakeClock | None = None, seconds: float = 0.0) -> None:
        self.clock, self.seconds = clock, seconds

    def add_norm(self, *args: Any) -> tuple[Tensor, Tensor]:
        if self.clock:
            self.clock.now += self.seconds
        return super().add_norm(*args)


def broken(name: str, change: Callable[[Tensor], Tensor]) -> TorchOps:
    """Return operators one of which gives a changed result, or leaves one behind."""
    ops = TorchOps()
    ops.fuses_vae = True
    right = getattr(ops, name)

    def wrong(*args: Any, **kwargs: Any) -> Any:
        result = right(*args, **kwargs)
        if name == "noise":
            return lambda *inner: change(result(*inner))
        if result is None:  # it changes its first argument
            args[0].copy_(change(args[0]))
            return None
        return tuple(map(change, result)) if isinstance(result, tuple) else change(result)

    setattr(ops, name, wrong)
    return ops


class FaultyCapture(Recorder):
    """Captures on a CPU.  ``fault`` is what is wrong with a replay."""

    def __init__(self, fault: str = "", clock: FakeClock | None = None) -> None:
        super().__init__()
        self.fault, self.clock = fault, clock

    def __call__(self, run: Run) -> Run:
        if self.fault == "raises":
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        if self.fault == "out of memory":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        if self.fault == "loses the device":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        replay = super().__call__(run)
        if self.fault == "stale":
            return lambda: None  # what the run before left in the buffers
        if self.fault == "slow":
            return self._slow(replay)
        if self.fault in ("wrong", "not finite"):
            return self._spoiled(replay)
        return replay

    def _slow(self, replay: Run) -> Run:
        def run() -> None:
            assert self.clock
            self.clock.now += 60.0
            replay()

        return run

    def _spoiled(self, replay: Run) -> Run:
        """Change the numbers that a stage wrote last."""
        written = [
            leaf
            for *_, result in self.tapes[-1].operators
            for leaf in tree_leaves(result)
            if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.numel()
        ][-1]

        def run() -> None:
            replay()
            with torch.inference_mode():
                written.mul_(math.nan if self.fault == "not finite" else 1.01)

        return run
