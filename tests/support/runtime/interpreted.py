"""Runs Triton's kernels without a GPU: its interpreter executes them with NumPy.

Triton reads ``TRITON_INTERPRET`` when it is imported, so this module must be imported first; the
whole process then interprets.  ``compiled.py`` compiles kernels in a process of its own.

Three faults of version 3.6 are corrected: with NumPy 2.4 a scalar, an array of one number, cannot
be the bound of a loop; float32 is truncated to bfloat16, where a GPU rounds; and bfloat16 products
multiply the bits as integers.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import triton.language as tl
from triton.runtime import interpreter

_patch_lang_tensor = interpreter._patch_lang_tensor
_convert_float = interpreter._convert_float
_create_dot = interpreter.InterpreterBuilder.create_dot


def _patch_tensors(tensor: Any, scope: Any) -> None:
    _patch_lang_tensor(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())


def _convert(data: Any, source: Any, target: Any, rounding: Any) -> Any:
    """Return the bits of the numbers in another format."""
    if (source, target) == (tl.bfloat16, tl.float32):
        return _widened(data).view(np.uint32)
    if (source, target) == (tl.float32, tl.bfloat16):
        bits = np.ascontiguousarray(data).view(np.uint32)
        even = bits + 0x7FFF + ((bits >> 16) & 1)  # to nearest, ties to even
        return np.where(np.isnan(data), 0x7FC0, even >> 16).astype(np.uint16)
    return _convert_float(data, source, target, rounding)


def _widened(bits: Any) -> Any:
    return (np.ascontiguousarray(bits).astype(np.uint32) << 16).view(np.float32)


def _multiply(self: Any, a: Any, b: Any, *rest: Any) -> Any:
    if a.dtype.scalar == b.dtype.scalar == tl.bfloat16:
        a, b = (interpreter.TensorHandle(_widened(factor.data), tl.float32) for factor in (a, b))
    return _create_dot(self, a, b, *rest)


interpreter._patch_lang_tensor = _patch_tensors
interpreter._convert_float = _convert
interpreter.InterpreterBuilder.create_dot = _multiply
