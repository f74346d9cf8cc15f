"""What the fused operators of the VAE are given: activations, convolutions, their past."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChannelSnake:
    """``snake(scale x + offset)``: the activation after a scale and an offset per channel."""

    alpha: Tensor  # [C]
    inverse: Tensor  # [C]
    offset: Tensor  # [C]
    scale: Tensor | None = None  # [C]; 1 without it


@dataclass(frozen=True)
class DepthwiseConv:
    """A causal depthwise convolution, with an activation before and one after it, or none."""

    taps: Tensor  # [K, C]
    bias: Tensor  # [C]
    dilation: int = 1
    before: ChannelSnake | None = None
    after: ChannelSnake | None = None


def extend(x: Tensor, past: Tensor, slots: slice | Tensor) -> Tensor:
    """Prepend the past of some slots to ``x [B, C, T]``, and keep the end of both for later.

    ``past [S, C, P]``.  Returns ``[B, C, P + T]``.
    """
    x = torch.cat((past[slots], x), dim=-1)  # [B, C, P + T]
    past[slots] = x[..., -past.shape[-1] :]  # [B, C, P]
    return x
