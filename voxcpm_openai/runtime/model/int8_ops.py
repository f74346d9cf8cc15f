"""The operators around products in 8 bits, on a CPU: ``Ops.int8``.

Shapes: N rows, I and O inputs and outputs of a product.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

ZERO = 128
"""The 8-bit number that stands for 0: the CPU's instructions multiply unsigned by signed."""


class Int8Ops(Protocol):
    """The operators."""

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``x [N, I]`` in 8 bits around ``ZERO``, and the scale of each row, ``[N, 1]``."""

    def rescale(self, y: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        """Return ``y [N, O]``, which may be overwritten, times ``scale [N, 1]`` plus ``bias``."""

    def swiglu(self, gate_up: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``silu(gate) * up``, quantized, of ``gate_up [N, 2 I]`` times ``scale [N, 1]``.

        ``gate_up`` may be overwritten.  Returns ``[N, I]`` and ``[N, 1]``.
        """


class TorchInt8Ops:
    """PyTorch's operators."""

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Divide by the scale and round."""
        scale = x.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127  # [N, 1]
        return (x / scale).round_().add_(ZERO).to(torch.uint8), scale  # [N, I], [N, 1]

    def rescale(self, y: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        """Multiply, and add the bias."""
        return y.mul_(scale) if bias is None else torch.addcmul(bias, y, scale)  # [N, O]

    def swiglu(self, gate_up: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Rescale, gate and quantize."""
        gate, up = gate_up.mul_(scale).chunk(2, dim=-1)  # [N, I] each
        return self.quantize(F.silu(gate) * up)
