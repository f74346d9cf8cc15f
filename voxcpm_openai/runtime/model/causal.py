"""The pieces of the audio VAE: causal convolutions that remember, and what stands between them.

A causal network needs of the past only the last few inputs of each convolution, which are silence
at the start.  A piece asks for them where it needs them (``Past``), so that it makes no difference
how long the parts are in which it sees a clip or a stream.  Weight norm is folded in when loading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.model.linear import product


@dataclass(frozen=True)
class Place:
    """Where a causal convolution keeps its past."""

    number: int  # among the convolutions that look back
    channels: int
    past: int  # inputs that it looks back


class Past:
    """What came before in each of the rows that go on together."""

    def __init__(self, buffers: Sequence[Tensor], rows: slice | Tensor) -> None:
        """``buffers``: ``[S, channels, past]`` for each place; ``rows`` picks B of the S slots."""
        self.buffers = buffers
        self.rows = rows

    def extend(self, place: Place, x: Tensor) -> Tensor:
        """Put the past before ``x [B, I, T]``, and keep the end of both for the next time."""
        buffer = self.buffers[place.number]  # [S, I, past]
        x = torch.cat((buffer[self.rows], x), dim=-1)  # [B, I, past + T]
        buffer[self.rows] = x[..., -place.past :]  # [B, I, past]
        return x


class Piece(Protocol):
    """One operation on channels over time."""

    def __call__(self, x: Tensor, past: Past, /) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, T']``."""


class Chain:
    """Pieces one after the other."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, T']``."""
        for piece in self.pieces:
            x = piece(x, past)  # [B, O, T']
        return x


class Around:
    """A chain with a way around it: its output is added to its input."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.chain = Chain(pieces)

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """``x [B, C, T]`` to ``[B, C, T]``."""
        return x + self.chain(x, past)  # [B, C, T]


class Snake:
    """``x + sin²(a x) / a`` with an a for each channel (arXiv:2006.08195)."""

    def __init__(self, weights: Weights, channels: int) -> None:
        self.alpha = weights.tensor("alpha", 1, channels, 1)  # [1, C, 1]
        self.inverse = (self.alpha + 1e-9).reciprocal()  # [1, C, 1]
        self.ops = weights.ops

    def __call__(self, x: Tensor, _: Past) -> Tensor:
        """``x [B, C, T]`` to ``[B, C, T]``."""
        return self.ops.snake(x, self.alpha, self.inverse)  # [B, C, T]


class Affine:
    """A scale and an offset for each channel, of one of several bins."""

    def __init__(self, weights: Weights, channels: int, bins: int, picked: int) -> None:
        scales = weights.tensor("scale_embed.weight", bins, channels)  # [bins, C]
        offsets = weights.tensor("bias_embed.weight", bins, channels)  # [bins, C]
        self.scale = scales[picked][:, None]  # [C, 1]
        self.offset = offsets[picked][:, None]  # [C, 1]

    def __call__(self, x: Tensor, _: Past) -> Tensor:
        """``x [B, C, T]`` to ``[B, C, T]``."""
        return torch.addcmul(self.offset, x, self.scale)  # [B, C, T]


class Mix:
    """A convolution of width 1: one matrix for the channels of every moment."""

    def __init__(self, weights: Weights, outputs: int, inputs: int) -> None:
        self.weight = folded(weights, outputs, inputs, 1)  # [O, I, 1]
        self.bias = weights.tensor("bias", outputs)  # [O]

    def __call__(self, x: Tensor, _: Past) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, T]``."""
        # Not matmul: on a CPU a convolution is oneDNN's work, and half again to twice as fast.
        return F.conv1d(x, self.weight, self.bias)  # [B, O, T]


class Conv:
    """A causal convolution.

    ``inputs``: channels that each output sees; one is a depthwise convolution.
    """

    def __init__(
        self,
        weights: Weights,
        place: Place,
        outputs: int,
        inputs: int,
        width: int,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        self.weight = folded(weights, outputs, inputs, width)  # [O, I', K]
        self.bias = weights.tensor("bias", outputs)  # [O]
        self.place = place
        self.groups = place.channels // inputs
        self.stride = stride
        self.dilation = dilation

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, T / stride]``."""
        x = past.extend(self.place, x)  # [B, I, past + T]
        return F.conv1d(
            x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )  # [B, O, T / stride]


class Upsample:
    """A causal transposed convolution of width 2 s and stride s, as one matrix product.

    Such a filter reaches two inputs from each output: s t + j is W[j] x[t] + W[s + j] x[t - 1].
    """

    def __init__(self, weights: Weights, place: Place, outputs: int, stride: int) -> None:
        w = folded(weights, place.channels, outputs, 2 * stride)  # [I, O, 2 s]
        now, before = w.permute(2, 1, 0).chunk(2, dim=0)  # [s, O, I] each
        weight = torch.cat((now, before), dim=-1).flatten(0, 1)  # [s O, 2 I]
        self.product = product(weight, weights.tensor("bias", outputs).repeat(stride))
        self.place = place
        self.outputs = outputs

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, s T]``."""
        x = past.extend(self.place, x).transpose(1, 2)  # [B, 1 + T, I]
        y = self.product(torch.cat((x[:, 1:], x[:, :-1]), dim=-1))  # [B, T, s O]
        return y.view(len(y), -1, self.outputs).transpose(1, 2).contiguous()  # [B, O, s T]


def folded(weights: Weights, *shape: int) -> Tensor:
    """Return ``g v / |v|``, the norm taken over all but the first axis (arXiv:1602.07868)."""
    g = weights.tensor("weight_g", shape[0], 1, 1)  # [shape[0], 1, 1]
    v = weights.tensor("weight_v", *shape)  # shape
    return v * (g / v.square().sum(dim=(1, 2), keepdim=True).sqrt())  # shape
