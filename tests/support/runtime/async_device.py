"""An asynchronous device, simulated on a CPU: work runs when the host waits for it.

Operators are queued.  One that creates a tensor also runs at once, for the shape; its numbers are
computed when the queue gets there.  A copy from the host reads the host's memory at that time.  So
reading a result too early, or overwriting an input too early, gives wrong numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves


class AsyncDevice(TorchDispatchMode):
    """The device.  ``host``: the tensors on the host; all others are on the device."""

    def __init__(self, host: Sequence[Tensor]) -> None:
        super().__init__()
        self.queued = 0  # operators so far
        self._host = list(host)
        self._queue: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if function is torch.ops.aten.lift_fresh.default or (
            tensors and all(map(self._is_host, tensors))
        ):
            result = function(*args, **kwargs)
            self._host.append(result)
            return result
        result = args[0] if function._schema.is_mutable else function(*args, **kwargs)
        self._queue.append((function, args, kwargs, result))
        self.queued += 1
        return result

    def run(self, queued: int) -> None:
        """Run the queue up to the first ``queued`` operators."""
        count = max(0, queued - (self.queued - len(self._queue)))
        todo, self._queue = self._queue[:count], self._queue[count:]
        with torch.inference_mode(), _disable_current_modes():
            for function, args, kwargs, first in todo:
                again = function(*args, **kwargs)
                for old, new in zip(tree_leaves(first), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)

    def _is_host(self, tensor: Tensor) -> bool:
        own = tensor.untyped_storage().data_ptr()
        return any(own == other.untyped_storage().data_ptr() for other in self._host)

    def event(self, _: torch.device) -> AsyncEvent:
        """Replace ``async_copy._record_event``."""
        return AsyncEvent(self, self.queued)


class AsyncEvent:
    """Replaces a CUDA event."""

    def __init__(self, device: AsyncDevice, queued: int) -> None:
        self._device, self._queued = device, queued

    def query(self) -> bool:
        return False

    def synchronize(self) -> None:
        self._device.run(self._queued)
