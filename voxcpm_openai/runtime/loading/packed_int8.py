"""8-bit weights as oneDNN multiplies them: packed, as bytes to keep, and from these bytes.

Reading packed weights takes a fifth of the time of packing them, but PyTorch can neither save nor
load them.  The functions here are those with which ``torch.compile`` brings such weights in its
libraries.  They are not public API: ``can_restore`` tries them.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

ROWS = 144
"""The number of rows that weights are packed for.  Any number works; only 1 is much slower."""

_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, *[ctypes.c_void_p] * 3)(
    ("PyCapsule_New", ctypes.pythonapi)
)
"""Python's object for a pointer: the pointer, a name, a destructor."""


@dataclass(frozen=True)
class Layout:
    """How packed weights lie in memory."""

    shape: tuple[int, ...]  # of the opaque tensor
    size: int  # bytes
    description: bytes  # oneDNN's


class PackedInt8:
    """A weight ``[outputs, inputs]`` in 8 bits, packed for this processor."""

    def __init__(self, tensor: Tensor, memory: Tensor | None = None) -> None:
        """``tensor``: opaque.  ``memory``: where it lies, unless it owns that itself."""
        self.tensor = tensor
        self._memory = memory

    @classmethod
    def pack(cls, weight: Tensor) -> PackedInt8:
        """Pack ``weight [outputs, inputs]`` of int8."""
        return cls(torch.ops.onednn.qlinear_prepack(weight, [ROWS, weight.shape[1]]))

    @classmethod
    def restore(cls, content: Tensor, layout: Layout) -> PackedInt8:
        """Return the weight whose ``content [bytes]`` has this layout.

        Raises ValueError for content of another size.
        """
        if content.shape != (layout.size,):
            raise ValueError(f"{content.numel()} bytes instead of {layout.size}")
        memory = torch.empty_like(content).copy_(content)  # [bytes], aligned for the processor
        return cls(_opaque(memory, layout), memory)

    def content(self) -> Tensor:
        """Return a copy of the bytes, ``[bytes]``."""
        size = torch.ops.mkldnn._nbytes(self.tensor)
        memory = (ctypes.c_char * size).from_address(torch.ops.mkldnn.data_ptr(self.tensor))
        return torch.frombuffer(memory, dtype=torch.uint8).clone()  # [bytes]

    def layout(self) -> Layout:
        """Return how the bytes lie."""
        description = torch.ops.mkldnn._get_mkldnn_serialized_md(self.tensor).numpy().tobytes()
        size = torch.ops.mkldnn._nbytes(self.tensor)
        return Layout(tuple(self.tensor.shape), size, description)


@cache
def layout_here(outputs: int, inputs: int) -> Layout:
    """Return how this PyTorch packs weights ``[outputs, inputs]`` on this processor."""
    return PackedInt8.pack(torch.zeros(outputs, inputs, dtype=torch.int8)).layout()


@cache
def can_restore() -> bool:
    """Return whether weights can be restored: it takes Linux, and a PyTorch with the functions."""
    weight = torch.arange(-64, 64, dtype=torch.int8).repeat(64, 1)  # [64, 128]
    try:
        packed = PackedInt8.pack(weight)
        again = PackedInt8.restore(packed.content(), packed.layout())
        return again.layout() == packed.layout() and torch.equal(again.content(), packed.content())
    except (AttributeError, OSError, RuntimeError, TypeError):
        return False


@cache
def _library() -> ctypes.CDLL:
    """Return the functions in C of the PyTorch that is loaded.  Raises OSError."""
    return ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))


def _opaque(memory: Tensor, layout: Layout) -> Tensor:
    """Return the opaque tensor that lies in ``memory [bytes]``.

    Raises what a PyTorch without the functions raises.
    """
    c, made, axes = _library(), ctypes.c_void_p(), len(layout.shape)
    failed = c.aoti_torch_create_tensor_from_blob_v2(
        ctypes.c_void_p(memory.data_ptr()),
        ctypes.c_int64(axes),
        (ctypes.c_int64 * axes)(*layout.shape),
        (ctypes.c_int64 * axes)(),  # an opaque tensor has no strides
        ctypes.c_int64(0),
        c.aoti_torch_dtype_int8(),
        c.aoti_torch_device_type_cpu(),
        0,
        ctypes.byref(made),
        c.aoti_torch_layout__mkldnn(),
        layout.description,
        ctypes.c_int64(len(layout.description)),
    )
    if failed:
        raise RuntimeError("PyTorch made no tensor")
    take = torch._C._aoti.alloc_tensor_by_stealing_from_void_ptr
    tensor: Tensor = take(_capsule(made, None, None))
    return tensor
