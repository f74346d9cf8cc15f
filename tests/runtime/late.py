"""A device that works by itself, on a CPU: what it is given is done when somebody waits for it.

What it is given waits in a queue.  An operator that makes a tensor runs at once too, for the shape;
its numbers are made when its turn comes.  A copy from the host reads what is there at that time.
So whoever reads too early, or writes too early over what the device is still to read, gets wrong
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves


class LateDevice(TorchDispatchMode):
    """The device.  ``host``: tensors that are the host's own; all others are on the device."""

    def __init__(self, host: Sequence[Tensor]) -> None:
        super().__init__()
        self.given = 0
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
        self.given += 1
        return result

    def work(self, given: int) -> None:
        """Do what was given, up to a moment."""
        count = max(0, given - (self.given - len(self._queue)))
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

    def event(self, _: torch.device) -> LateEvent:
        """In the place of ``landing._event_behind``."""
        return LateEvent(self, self.given)


class LateEvent:
    """In the place of a CUDA event."""

    def __init__(self, device: LateDevice, moment: int) -> None:
        self._device, self._moment = device, moment

    def query(self) -> bool:
        return False

    def synchronize(self) -> None:
        self._device.work(self._moment)
