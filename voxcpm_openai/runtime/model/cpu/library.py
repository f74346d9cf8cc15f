"""The functions of the compiled library, which take tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

Operator = Callable[..., None]


class TensorPointer:
    """An argument of a function: a contiguous tensor, or a view that it knows, or None."""

    @classmethod
    def from_param(cls, x: Tensor | None) -> ctypes.c_void_p:
        """Return where the numbers are; ctypes calls it."""
        return ctypes.c_void_p(None if x is None else x.data_ptr())


KINDS = {"t": TensorPointer, "i": ctypes.c_int64, "f": ctypes.c_float}
SIGNATURES = {
    "add_norm": "tiiittfttiii",
    "swiglu": "ttiii",
    "attention": "ttttiiiiiiii",
    "decode_attention": "tttttiitttiiiii",
    "build_dit_input": "tttttiiiii",
    "cfg_euler_step": "ttttii",
    "quantize": "tttiii",
    "swiglu_int8": "ttttiii",
    "rescale": "tttiii",
    "snake_rows": "ttttiiii",
    "snake_conv": "tttttttitttttittiiii",
    "snake_pairs": "ttttttittiiii",
    "snake_output": "ttttttttittiiii",
}
"""What each function takes, as in the sources: tensors, integers, floats."""
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
"""How the names of functions end that there are for several dtypes."""


def function(library: ctypes.CDLL, name: str, dtype: str = "") -> Operator:
    """Return a function, or the one of that name for a dtype."""
    found = getattr(library, f"{name}_{dtype}" if dtype else name)
    found.restype = None
    found.argtypes = [KINDS[kind] for kind in SIGNATURES[name]]
    operator: Operator = found
    return operator
