"""An asynchronous device with two streams, simulated on a CPU: work runs when it is waited for.

Operators are queued.  One that creates a tensor also runs at once, for the shape; its numbers are
computed when the queue gets there.  A copy from the host reads the host's memory at that time.  So
reading a result too early, or overwriting an input too early, gives wrong numbers.

One stream may be ``eager``: all that it is given runs at once, and of the other one only what it
waits for.  So nothing else than the waits keeps the streams in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

STEPS, SIDE = "steps", "side"


class AsyncDevice(TorchDispatchMode):
    """The device.  ``host``: the tensors on the host; all others are on the device."""

    def __init__(self, host: Sequence[Tensor], eager: str | None = None) -> None:
        super().__init__()
        self.current = STEPS
        self._eager = eager
        self._host = list(host)
        self._queues: dict[str, list[Callable[[], None]]] = {STEPS: [], SIDE: []}
        self._ran = {STEPS: 0, SIDE: 0}

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
        self.queue(partial(_repeat, function, args, kwargs, result))
        return result

    def queue(self, work: Callable[[], None]) -> None:
        """Give work to the current stream."""
        queue = self._queues[self.current]
        queue.append(work)
        if self.current == self._eager:
            self.run(self.current, len(queue))

    def run(self, stream: str, count: int) -> None:
        """Run the queue of a stream up to the first ``count`` entries."""
        queue = self._queues[stream]
        while self._ran[stream] < count:
            work = queue[self._ran[stream]]
            self._ran[stream] += 1
            work()

    def _is_host(self, tensor: Tensor) -> bool:
        own = tensor.untyped_storage().data_ptr()
        return any(own == other.untyped_storage().data_ptr() for other in self._host)

    def event(self, _: torch.device | None = None) -> AsyncEvent:
        """Replace ``async_copy._record_event``: an event of the current stream."""
        return AsyncEvent(self, self.current, len(self._queues[self.current]))


class AsyncEvent:
    """Replaces a CUDA event."""

    def __init__(self, device: AsyncDevice, stream: str, queued: int) -> None:
        self._device, self._stream, self._queued = device, stream, queued

    def query(self) -> bool:
        return False

    def synchronize(self) -> None:
        self._device.run(self._stream, self._queued)


class AsyncSideStream:
    """Replaces ``SideStream``."""

    def __init__(self, device: AsyncDevice) -> None:
        self._device = device
        self._mark: AsyncEvent | None = None

    @contextmanager
    def after_steps(self) -> Iterator[None]:
        before = self._device.event()
        self._device.current = SIDE
        try:
            self._device.queue(before.synchronize)
            yield
        finally:
            self._device.current = STEPS

    def mark(self) -> None:
        self._mark = self._device.event()

    def hold_steps(self) -> None:
        if self._mark is not None:
            self._device.queue(self._mark.synchronize)


def _repeat(function: Callable[..., Any], args: Any, kwargs: Any, first: Any) -> None:
    """Call an operator; write its result to the first one's address."""
    with torch.inference_mode(), _disable_current_modes():
        again = function(*args, **kwargs)
        for old, new in zip(tree_leaves(first), tree_leaves(again), strict=True):
            if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                old.copy_(new)
