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
from voxcpm_openai.runtime.loading.packed_int8 import ROWS, PackedInt8
from voxcpm_openai.runtime.model.int8_ops import ZERO
from voxcpm_openai.runtime.model.ops import Ops, TorchOps


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

    def to(self, dtype: torch.dtype) -> Packed:
        """Return the product in a dtype, with weights of its own unless that is theirs."""
        if self.weight.dtype == dtype:
            return self
        bias = None if self.bias is None else self.bias.to(dtype)  # [outputs]
        return Packed(self.weight.to_dense().to(dtype), bias)

    def plus(self, x: Tensor, added: Tensor) -> Tensor:
        """Return the product plus ``added [..., outputs]``, in one pass."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            x, added, self.weight, self.bias, "add"
        )
        return y  # [..., outputs]


class Int8:
    """An 8-bit product: one scale for each output of the weights, one for each row of the input.

    Each row has its own scale, and integer sums are exact in any order: so a row's result does not
    depend on the other rows.
    """

    def __init__(self, weight: PackedInt8, scale: Tensor, bias: Tensor | None, ops: Ops) -> None:
        """``weight [outputs, inputs]``, ``scale`` and ``bias [outputs]``."""
        self.scale = scale  # [outputs]
        self.weight = weight
        self.zeros = torch.zeros(len(scale), dtype=torch.int64)  # [outputs]
        self.bias = bias  # [outputs]
        self.ops = ops

    @staticmethod
    def quantized(weight: Tensor) -> tuple[PackedInt8, Tensor]:
        """Return ``weight [outputs, inputs]``, of float32, in 8 bits, and its ``[outputs]``."""
        scale = weight.abs().amax(dim=1).clamp_min(1e-12) / 127  # [outputs]
        eight = (weight / scale[:, None]).round_().to(torch.int8)  # [outputs, inputs]
        return PackedInt8.pack(eight), scale

    def __call__(self, x: Tensor) -> Tensor:
        """``x [..., inputs]`` to ``[..., outputs]``."""
        quantized, scale = self.ops.int8.quantize(x.flatten(0, -2))  # [N, inputs], [N, 1]
        y = self.ops.int8.rescale(self.multiply(quantized), scale, self.bias)  # [N, outputs]
        return y.view(*x.shape[:-1], -1)  # [..., outputs]

    def multiply(self, quantized: Tensor) -> Tensor:
        """Return the product with rows in 8 bits, ``[N, inputs]``, before they are rescaled."""
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            quantized, 1.0, ZERO, self.weight.tensor, self.scale, self.zeros, None,
            1.0, 0, torch.float32, "none", [], "",
        )  # [N, outputs]  # fmt: skip
        return y


def feed_forward(ops: Ops, gate_up: Linear, down: Linear, x: Tensor) -> Tensor:
    """Return ``x [..., W]`` after two products and the gate between them: ``[..., W]``."""
    if not isinstance(gate_up, Int8) or not isinstance(down, Int8):
        return down(ops.swiglu(gate_up(x)))  # [..., W]
    quantized, scale = ops.int8.quantize(x.flatten(0, -2))  # [N, W], [N, 1]
    quantized, scale = ops.int8.swiglu(gate_up.multiply(quantized), scale)  # [N, I], [N, 1]
    return ops.int8.rescale(down.multiply(quantized), scale, None).view(x.shape)  # [..., W]


def linear(weights: Weights, name: str, inputs: int, outputs: int, *, bias: bool = True) -> Linear:
    """Load the layer ``name``; never in 8 bits."""
    layer = weights.under(name)
    weight = layer.tensor("weight", outputs, inputs)  # [outputs, inputs]
    return product(weight, layer.tensor("bias", outputs) if bias else None)


def fused(
    weights: Weights, parts: Mapping[str, int], inputs: int, ops: Ops, *, scale: float = 1.0
) -> Linear:
    """Load layers without bias that have the same input as one, times ``scale``.

    ``parts``: the names of the layers, with their outputs.  These layers of a transformer hold
    nearly all of the model's weights; ``int8`` applies to them only.  Raises StartError if the CPU
    has no 8-bit products.
    """

    def weight() -> Tensor:
        read = weights.fused({f"{name}.weight": rows for name, rows in parts.items()}, inputs)
        return read if scale == 1.0 else read.mul_(scale)  # [outputs, inputs]

    if not weights.int8:
        return product(weight(), None)
    if weights.device.type != "cpu" or not multiplies_int8():
        raise StartError(
            "VOXCPM_DTYPE=int8 needs a CPU that multiplies 8-bit numbers exactly (AVX-VNNI or "
            "AVX512-VNNI) and a PyTorch with oneDNN; this is not one. Leave it at auto."
        )
    name, kept = weights.prefix + "-".join(parts), weights.quantized
    found = kept.get(name, sum(parts.values()), inputs) if kept else None
    if found is None:
        found = Int8.quantized(weight())
        if kept:
            kept.put(name, *found)
    return Int8(*found, None, ops)


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
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
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
    eight = Int8(*Int8.quantized(largest), None, TorchOps())
    return bool(torch.allclose(eight(largest), largest @ largest.T))
