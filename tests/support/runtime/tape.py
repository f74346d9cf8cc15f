"""CUDA graphs, simulated on a CPU: records operators with their tensors, and replays them.

Python does not run at a replay, and every tensor keeps its address.  What would break a capture, or
make its replay wrong, is an error: reading a number from the device, making a tensor on the host,
and attention over no rows, which PyTorch's kernels refused up to 2.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from voxcpm_openai.runtime.device.capture import Run

aten = torch.ops.aten
HOST_READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
HOST_COPIES = {aten.lift_fresh.default, aten.lift.default}
HOST_CALLS = {
    torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy,
    torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__, torch.Tensor.__index__,
    torch.tensor, torch.as_tensor, torch.from_numpy, torch.allclose, torch.equal,
}  # fmt: skip

FACTORIES = {torch.arange, torch.zeros, torch.ones, torch.full, torch.empty, torch.linspace}


class HostError(BaseException):
    """A stage synchronized with the host, or copied from it.

    Not an Exception: a runner goes on without a graph where a capture raises one.
    """


class EmptyAttention(BaseException):
    """A stage computed attention for a batch of 0."""


class _Refusing(TorchFunctionMode):
    """Refuses calls that are no operator on a CPU, such as ``tolist``, and empty attention."""

    def __torch_function__(
        self, function: Callable[..., Any], _: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        moved = function is torch.Tensor.to and any(
            isinstance(argument, torch.device | str) for argument in (*args[1:], *kwargs.values())
        )
        on_host = function in FACTORIES and kwargs.get("device") is None
        if function in HOST_CALLS or moved or on_host:
            raise HostError(function.__name__)
        if function is scaled_dot_product_attention and not args[0].numel():
            raise EmptyAttention(args[0].shape)
        return function(*args, **kwargs)


class Tape(TorchDispatchMode):
    """Records the operators that run within it."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        # The size of a masked selection is known on the device only.
        masks = function in INDEXING and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        if masks or function in HOST_READS | HOST_COPIES:
            raise HostError(str(function))
        result = function(*args, **(kwargs or {}))
        self.operators.append((function, args, kwargs or {}, result))
        return result

    @torch.inference_mode()
    def replay(self) -> None:
        """Repeat the operators; write each result to its first address."""
        for function, args, kwargs, first in self.operators:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(first), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Recorder:
    """Replaces ``CudaCapture``."""

    def __init__(self) -> None:
        self.captured = 0
        self.replayed = 0
        self.tapes: list[Tape] = []

    def __call__(self, run: Run) -> Run:
        run()
        with _Refusing(), Tape() as tape:
            run()
        self.captured += 1
        self.tapes.append(tape)

        def replay() -> None:
            self.replayed += 1
            tape.replay()

        return replay
