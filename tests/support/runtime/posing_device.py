"""A device that is not here: tensors that say they are on it, computed on the CPU.

It is as strict as such devices are: the operands of an operator are on one device, memory is not
shared with the CPU, and there is no float64, as on MPS.  Copies must wait, since some devices read
or write the CPU's memory later, and no memory may be pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

COPY, TO_COPY = "aten::copy_", "aten::_to_copy"
INDEXED = ("aten::index", "aten::_index_put")
"""How the operators begin whose indices may be on the CPU."""

Spoil = Callable[[str, Any], Any]
"""Takes an operator's name and its result, and returns what the device makes of it."""


class PosingTensor(Tensor):
    """A tensor on the device; ``inner`` has its numbers on the CPU."""

    inner: Tensor
    posed: torch.device

    @staticmethod
    def __new__(cls, inner: Tensor, posed: torch.device) -> PosingTensor:
        """To PyTorch itself it is on ``meta``, which needs no driver."""
        with torch.inference_mode(inner.is_inference()):
            made: PosingTensor = Tensor._make_wrapper_subclass(
                cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
                dtype=inner.dtype, device=torch.device("meta"),
            )  # fmt: skip
        made.inner, made.posed = inner, posed
        return made

    @property
    def device(self) -> torch.device:
        """Where the tensor says it is."""
        return self.posed

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any, **__: Any) -> Any:
        """Refuse: the device is there within ``posing`` only."""
        raise AssertionError(f"{func} is called outside `posing`")


class Posing(TorchDispatchMode):
    """Runs operators; ``names`` has those that were run on the device."""

    def __init__(self, device: torch.device, spoil: Spoil | None) -> None:
        super().__init__()
        self.names: list[str] = []
        self._device, self._spoil = device, spoil

    def __torch_dispatch__(
        self, func: Any, _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator on the CPU, and say that the result is where it would be."""
        named, name = dict(kwargs or {}), str(func._schema.name)
        tensors = [value for value in tree_flatten((args, named))[0] if isinstance(value, Tensor)]
        here = any(isinstance(value, PosingTensor) for value in tensors)
        self._check(name, tensors, args, named)
        if named.get("device") is not None:
            here = torch.device(named["device"]).type == self._device.type
            named["device"] = torch.device("cpu")
        inner_args, inner_named = tree_map(_inner, (tuple(args), named))
        result = func(*inner_args, **inner_named)
        if not here:
            return result
        self.names.append(name)
        if self._spoil is not None:
            result = self._spoil(name, result)
        if func._schema.is_mutable and name.endswith("_"):
            return args[0]
        return tree_map(self._posed, result)

    def _check(
        self, name: str, tensors: Sequence[Tensor], args: Sequence[Any], named: Mapping[str, Any]
    ) -> None:
        here = [value for value in tensors if isinstance(value, PosingTensor)]
        target = named.get("device")
        involved = here or (target is not None and torch.device(target).type == self._device.type)
        if not involved:
            return
        assert not named.get("pin_memory"), f"{name} pins memory"
        if name in (COPY, TO_COPY):
            waits = not named.get("non_blocking") and not (name == COPY and True in args[2:])
            assert waits, "a copy does not wait"
        elif not name.startswith(INDEXED):
            elsewhere = [value for value in tensors if value.dim() and value.device.type == "cpu"]
            assert not elsewhere, f"{name} has operands on two devices"

    def _posed(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        assert value.dtype != torch.float64, f"{self._device.type} has no float64"
        return PosingTensor(value, self._device)


class _Moving(TorchFunctionMode):
    """Replaces ``Tensor.to``, which asks a driver before any operator runs."""

    def __torch_function__(
        self, func: Any, _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not Tensor.to:
            return func(*args, **(kwargs or {}))
        tensor, *where = args
        device, dtype, non_blocking, _ = torch._C._nn._parse_to(*where, **(kwargs or {}))
        device, dtype = device or tensor.device, dtype or tensor.dtype
        if (device.type, dtype) == (tensor.device.type, tensor.dtype):
            return tensor
        return torch.ops.aten._to_copy(
            tensor, dtype=dtype, device=device, non_blocking=non_blocking
        )


@contextmanager
def posing(kind: str, spoil: Spoil | None = None) -> Iterator[Posing]:
    """Let this thread have a device of a kind that PyTorch names."""
    with _Moving(), Posing(torch.device(kind, 0), spoil) as mode:
        yield mode


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, PosingTensor) else value
