"""Linear layers: all matrix products of the model but its convolutions.

    Plain    PyTorch's                            on a GPU, and as a fallback
    Tf32     PyTorch's, inputs rounded            on a GPU, for the VAE of a model in bfloat16
    Packed   weights packed once for the CPU      CPU, float32 and bfloat16
    Int8     8-bit weights and inputs             CPU, on request

PyTorch runs float32 products with MKL, which is slow on processors that are not Intel's, and with
few rows on all.  oneDNN, which is part of PyTorch too, is 2.5 to 4 times faster at the 2 to 300
rows of a step, but repacks the weights at every call unless they are packed once.
``torch.compile`` uses the same operators in frozen graphs.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.loading.checkpoint import Weights

ROWS = 144
"""The number of rows that weights are packed for.  Any number works; only 1 is much slower."""


class Linear(Protocol):
    """``y = x W' + b``."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """``x [..., inputs]`` to ``[..., outputs]``."""


@dataclass(frozen=True)
class Plain:
    """PyTorch's product."""

    weight: Tensor  # [outputs, inputs]
    bias: Tensor | None  # [outputs]

    def __call__(self, x: Tensor) -> Tensor:
        """``x [..., inputs]`` to ``[..., outputs]``."""
        return F.linear(x, self.weight, self.bias)  # [..., outputs]


class Tf32(Plain):
    """PyTorch's float32 product with inputs rounded to 10 bits, on a GPU that has them (sm_80)."""

    def __call__(self, x: Tensor) -> Tensor:
        """``x [..., inputs]`` to ``[..., outputs]``."""
        with tf32_products(allowed=True):
            return super().__call__(x)  # [..., outputs]


@contextmanager
def tf32_products(*, allowed: bool) -> Iterator[None]:
    """Let a GPU round the inputs of float32 products to 10 bits, or not.

    Around single products only: the setting is the process's, which may hold other models.
    """
    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, allowed
    try:
        yield
    finally:
        matmul.allow_tf32 = before


class Packed:
    """The same product with packed weights; only the order of the sums differs."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """``weight [outputs, inputs]``, ``bias [outputs]``."""
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)  # opaque
        self.bias = bias  # [outputs]

    def __call__(self, x: Tensor) -> Tensor:
        """``x [..., inputs]`` to ``[..., outputs]``."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y  # [..., outputs]


class Int8:
    """An 8-bit product: one scale for each output of the weights, one for each row of the input.

    Each row has its own scale, and integer sums are exact in any order: so a row's result does not
    depend on the other rows.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """``weight [outputs, inputs]`` in float32, ``bias [outputs]``."""
        self.scale = weight.abs().amax(dim=1).clamp_min(1e-12) / 127  # [outputs]
        quantized = (weight / self.scale[:, None]).round_().to(torch.int8)  # [outputs, inputs]
        self.weight = torch.ops.onednn.qlinear_prepack(quantized, [ROWS, weight.shape[1]])  # opaque
        self.zeros = torch.zeros(weight.shape[0], dtype=torch.int64)  # [outputs]
        self.bias = bias  # [outputs]

    def __call__(self, x: Tensor) -> Tensor:
        """``x [..., inputs]`` to ``[..., outputs]``."""
        rows = x.flatten(0, -2)  # [N, inputs]
        scale = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127  # [N, 1]
        # Unsigned, around 128: the CPU's instructions multiply unsigned by signed.
        quantized = (rows / scale).round_().add_(128).to(torch.uint8)  # [N, inputs]
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            quantized, 1.0, 128, self.weight, self.scale, self.zeros, None, 1.0, 0, torch.float32,
            "none", [], "",
        )  # [N, outputs]  # fmt: skip
        y = y.mul_(scale) if self.bias is None else torch.addcmul(self.bias, y, scale)
        return y.view(*x.shape[:-1], -1)  # [..., outputs]


def linear(weights: Weights, name: str, inputs: int, outputs: int, *, bias: bool = True) -> Linear:
    """Load the layer ``name``; never in 8 bits."""
    layer = weights.under(name)
    weight = layer.tensor("weight", outputs, inputs)  # [outputs, inputs]
    return product(weight, layer.tensor("bias", outputs) if bias else None)


def fused(weights: Weights, parts: Mapping[str, int], inputs: int, *, scale: float = 1.0) -> Linear:
    """Load layers without bias that have the same input as one, times ``scale``.

    ``parts``: the names of the layers, with their outputs.  These layers of a transformer hold
    nearly all of the model's weights; ``int8`` applies to them only.  Raises StartError if the CPU
    has no 8-bit products.
    """
    weight = weights.fused({f"{name}.weight": rows for name, rows in parts.items()}, inputs)
    if scale != 1.0:
        weight.mul_(scale)  # [outputs, inputs]
    if not weights.int8:
        return product(weight, None)
    if weight.device.type != "cpu" or not multiplies_int8():
        raise StartError(
            "VOXCPM_DTYPE=int8 needs a CPU that multiplies 8-bit numbers exactly (AVX-VNNI or "
            "AVX512-VNNI) and a PyTorch with oneDNN; this is not one. Leave it at auto."
        )
    return Int8(weight, None)


def product(weight: Tensor, bias: Tensor | None, *, tf32: bool = False) -> Linear:
    """Return the product of ``weight [outputs, inputs]`` and ``bias [outputs]``.

    It is exact unless ``tf32`` allows a GPU to round the inputs.
    """
    if tf32:
        return Tf32(weight, bias)
    kind = Packed if weight.device.type == "cpu" and _packs(weight.dtype) else Plain
    return kind(weight, bias)


@cache
def _packs(dtype: torch.dtype) -> bool:
    """Return whether weights can be packed: it takes the operators, and an x86 processor."""
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return hasattr(torch.ops.mkldnn, "_linear_pointwise")


@cache
def multiplies_int8() -> bool:
    """Return whether 8-bit products are exact: without VNNI, sums of pairs overflow 16 bits."""
    if not hasattr(torch.ops.onednn, "qlinear_pointwise"):
        return False
    largest = torch.full((64, 64), 127.0)  # [outputs, inputs], and [N, inputs]
    return bool(torch.allclose(Int8(largest, None)(largest), largest @ largest.T))
