"""Compares operators with PyTorch's, each with the arguments that a model calls it with."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.ops import Ops, TorchOps

OWN_ERRORS, TOLERANCE = 2.0, 1e-3
"""The bound on an operator's error against float32, relative to the largest number: a multiple of
the error of PyTorch's operator in the model's dtype, plus an absolute tolerance."""

OPERATORS = tuple(
    name for name, member in vars(Ops).items() if callable(member) and not name.startswith("_")
)
"""All operators of a model."""
OF_FUSED_VAE = frozenset({"snake_conv", "snake_pairs", "snake_output"})
"""Those that run only where ``Ops.fuses_vae``."""


class ComparedOps:
    """Has the operators of a model: runs ``candidate``, and PyTorch's beside on copies.

    ``faults`` has the first fault of each operator, ``called`` the names of those that ran.
    """

    def __init__(self, candidate: Ops) -> None:
        self._candidate, self._reference = candidate, TorchOps()
        self.faults: dict[str, str] = {}
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name not in OPERATORS:
            return getattr(self._candidate, name)
        if name == "noise":
            return self._noise
        return self._compared(name, getattr(self._candidate, name), getattr(self._reference, name))

    @property
    def missing(self) -> set[str]:
        """The operators that should have run, and did not."""
        unused: Set[str] = frozenset() if self._candidate.fuses_vae else OF_FUSED_VAE
        return set(OPERATORS) - unused - self.called

    def _noise(self, device: torch.device) -> Callable[..., Any]:
        """Return a compared draw of noise."""
        return self._compared("noise", self._candidate.noise(device), self._reference.noise(device))

    def _compared(
        self, name: str, candidate: Callable[..., Any], reference: Callable[..., Any]
    ) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.called.add(name)
            # In place operators change their arguments, which belong to what is compared.
            own, exact = (_mapped((args, kwargs), change) for change in (_copied, _widened))
            result = candidate(*args, **kwargs)
            if name not in self.faults:
                pairs = zip(
                    _tensors((result, args, kwargs)),
                    _tensors((reference(*own[0], **own[1]), *own)),
                    _tensors((reference(*exact[0], **exact[1]), *exact)),
                    strict=True,
                )
                for ours, theirs, true in pairs:
                    if fault := _fault(ours, theirs, true):
                        self.faults[name] = fault
                        break
            return result

        return run


def _fault(ours: Tensor, theirs: Tensor, true: Tensor) -> str | None:
    """Return what is wrong with a result, all of one shape; ``true`` is in float32."""
    if ours.shape != true.shape:
        return f"the shape is {tuple(ours.shape)}, not {tuple(true.shape)}"
    if not ours.numel():
        return None
    error, own = _largest_error(ours, true), _largest_error(theirs, true)
    if not math.isfinite(error):
        return "a result is not finite"
    if error > (limit := OWN_ERRORS * own + TOLERANCE):
        return f"the error is {error:.2g} of the largest number, at most {limit:.2g} is right"
    return None


def _largest_error(x: Tensor, true: Tensor) -> float:
    """Return the largest difference, relative to the largest number."""
    wide, expected = x.double(), true.double()  # as `x`
    scale = float(expected.abs().max())
    return float((wide - expected).abs().max()) / (scale or 1.0)


def _tensors(value: Any) -> list[Tensor]:
    """List the tensors in nested tuples, lists, mappings and dataclasses, in order."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    _mapped(value, keep)
    return found


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a value with each tensor in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [_mapped(item, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _mapped(getattr(value, f.name), change) for f in fields(value) if f.init}
        return replace(value, **changed)
    return value


def _copied(x: Tensor) -> Tensor:
    return x.clone()


def _widened(x: Tensor) -> Tensor:
    return x.to(torch.float32, copy=True) if x.is_floating_point() else x.clone()
