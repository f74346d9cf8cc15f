"""What a CUDA graph does, on a CPU: it notes operators with their tensors, and repeats just these.

What Python decided while they were noted stays so, and every tensor stays where it was.  What would
break the capture of a graph, or make it wrong, is an error: reading a number from the device, and
making a tensor on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from voxcpm_openai.runtime.graphs import Run

aten = torch.ops.aten
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default}
PICKS = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
FROM_HOST = {aten.lift_fresh.default, aten.lift.default}
READING = {
    torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy,
    torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__, torch.Tensor.__index__,
    torch.tensor, torch.as_tensor, torch.from_numpy, torch.allclose, torch.equal,
}  # fmt: skip

FACTORIES = {torch.arange, torch.zeros, torch.ones, torch.full, torch.empty, torch.linspace}


class HostError(AssertionError):
    """A piece asked the host, or was told by it."""


class _NoHost(TorchFunctionMode):
    """Sees what never becomes an operator on a CPU, such as ``tolist``."""

    def __torch_function__(
        self, function: Callable[..., Any], _: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        moved = function is torch.Tensor.to and any(
            isinstance(argument, torch.device | str) for argument in (*args[1:], *kwargs.values())
        )
        elsewhere = function in FACTORIES and kwargs.get("device") is None
        if function in READING or moved or elsewhere:
            raise HostError(function.__name__)
        return function(*args, **kwargs)


class Tape(TorchDispatchMode):
    """Notes the operators that run within it."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        # How many a mask picks is a number that only the device knows.
        masks = function in PICKS and any(i is not None and i.dtype == torch.bool for i in args[1])
        if masks or function in READS | FROM_HOST:
            raise HostError(str(function))
        result = function(*args, **(kwargs or {}))
        self.notes.append((function, args, kwargs or {}, result))
        return result

    @torch.inference_mode()
    def replay(self) -> None:
        """Repeat them: each result goes where it was the first time."""
        for function, args, kwargs, first in self.notes:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(first), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Recorder:
    """In the place of ``CudaCapture``."""

    def __init__(self) -> None:
        self.captured = 0
        self.replayed = 0

    def __call__(self, run: Run) -> Run:
        run()
        with _NoHost(), Tape() as tape:
            run()
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            tape.replay()

        return replay
