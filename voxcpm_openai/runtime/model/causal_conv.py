"""The layers of the audio VAE: causal convolutions with state, and their activations.

A causal convolution needs the last few inputs of the past, which are silence at the start.  Each
layer takes them from a ``ConvState``, so that the output does not depend on how a clip or a stream
is cut into chunks.  Weight norm is folded into the weights at loading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.loading.checkpoint import Weights
from voxcpm_openai.runtime.model.depthwise import extend
from voxcpm_openai.runtime.model.linear import product
from voxcpm_openai.runtime.model.ops import Ops


@dataclass(frozen=True)
class ConvStateSpec:
    """The state of one causal convolution: its index, and the shape of its past inputs."""

    index: int  # among the convolutions that have a state
    channels: int
    past: int  # inputs to look back


class ConvState:
    """The past inputs of all convolutions, for the rows of a batch."""

    def __init__(self, buffers: Sequence[Tensor], rows: slice | Tensor) -> None:
        """``buffers``: ``[S, channels, past]`` for each spec; ``rows`` picks B of the S slots."""
        self.buffers = buffers
        self.rows = rows

    def extend(self, spec: ConvStateSpec, x: Tensor) -> Tensor:
        """Prepend the past to ``x [B, I, T]``, and keep the end of both for the next call."""
        return extend(x, self.buffers[spec.index], self.rows)  # [B, I, past + T]


class Layer(Protocol):
    """One operation on channels over time."""

    def __call__(self, x: Tensor, state: ConvState, /) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, T']``."""


class Sequential:
    """Layers one after the other."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers

    def __call__(self, x: Tensor, state: ConvState) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, T']``."""
        for layer in self.layers:
            x = layer(x, state)  # [B, O, T']
        return x


class ResidualUnit:
    """A depthwise and a pointwise convolution, a snake before each; added to their input."""

    def __init__(
        self, snake: Snake, conv: Conv, second_snake: Snake, pointwise: PointwiseConv
    ) -> None:
        self.snake = snake
        self.conv = conv
        self.second_snake = second_snake
        self.pointwise = pointwise
        self.layers = Sequential([snake, conv, second_snake, pointwise])

    def __call__(self, x: Tensor, state: ConvState) -> Tensor:
        """``x [B, C, T]`` to ``[B, C, T]``."""
        return x + self.layers(x, state)  # [B, C, T]


class Snake:
    """``x + sin²(a x) / a`` with an a for each channel (arXiv:2006.08195)."""

    def __init__(self, weights: Weights, channels: int, ops: Ops) -> None:
        self.alpha = weights.tensor("alpha", 1, channels, 1)  # [1, C, 1]
        self.inverse = (self.alpha + 1e-9).reciprocal()  # [1, C, 1]
        self.ops = ops

    def __call__(self, x: Tensor, _: ConvState) -> Tensor:
        """``x [B, C, T]`` to ``[B, C, T]``."""
        return self.ops.snake(x, self.alpha, self.inverse)  # [B, C, T]


class Affine:
    """A scale and an offset for each channel, from one of several bins."""

    def __init__(self, weights: Weights, channels: int, bins: int, bin_index: int) -> None:
        scales = weights.tensor("scale_embed.weight", bins, channels)  # [bins, C]
        offsets = weights.tensor("bias_embed.weight", bins, channels)  # [bins, C]
        self.scale = scales[bin_index][:, None]  # [C, 1]
        self.offset = offsets[bin_index][:, None]  # [C, 1]

    def __call__(self, x: Tensor, _: ConvState) -> Tensor:
        """``x [B, C, T]`` to ``[B, C, T]``."""
        return torch.addcmul(self.offset, x, self.scale)  # [B, C, T]


class PointwiseConv:
    """A convolution of kernel size 1."""

    def __init__(self, weights: Weights, outputs: int, inputs: int) -> None:
        self.weight = fold_weight_norm(weights, outputs, inputs, 1)  # [O, I, 1]
        self.bias = weights.tensor("bias", outputs)  # [O]

    def __call__(self, x: Tensor, _: ConvState) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, T]``."""
        # Not matmul: on a CPU oneDNN runs convolutions, 1.5 to 2 times as fast.
        return F.conv1d(x, self.weight, self.bias)  # [B, O, T]


class Conv:
    """A causal convolution.

    ``inputs``: the input channels of each output; 1 makes a depthwise convolution.
    """

    def __init__(
        self,
        weights: Weights,
        spec: ConvStateSpec,
        outputs: int,
        inputs: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        self.weight = fold_weight_norm(weights, outputs, inputs, kernel_size)  # [O, I', K]
        self.bias = weights.tensor("bias", outputs)  # [O]
        self.spec = spec
        self.groups = spec.channels // inputs
        self.stride = stride
        self.dilation = dilation

    def __call__(self, x: Tensor, state: ConvState) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, T / stride]``."""
        x = state.extend(self.spec, x)  # [B, I, past + T]
        return F.conv1d(
            x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )  # [B, O, T / stride]


class Upsample:
    """A causal transposed convolution of kernel size 2 s and stride s, as one matrix product.

    Each output depends on two inputs: s t + j is W[j] x[t] + W[s + j] x[t - 1].
    """

    def __init__(self, weights: Weights, spec: ConvStateSpec, outputs: int, stride: int) -> None:
        w = fold_weight_norm(weights, spec.channels, outputs, 2 * stride)  # [I, O, 2 s]
        rows = w.flatten(1).T.contiguous()  # [O 2 s, I]: PyTorch transposes two axes fastest
        rows = rows.view(outputs, 2, stride, spec.channels).permute(2, 0, 1, 3)  # [s, O, 2, I]
        weight = rows.reshape(stride * outputs, 2 * spec.channels)  # [s O, 2 I]
        bias = weights.tensor("bias", outputs).repeat(stride)  # [s O]
        self.product = product(weight, bias, tf32=weights.tf32)
        self.spec = spec
        self.outputs = outputs

    def __call__(self, x: Tensor, state: ConvState) -> Tensor:
        """``x [B, I, T]`` to ``[B, O, s T]``."""
        x = state.extend(self.spec, x).transpose(1, 2)  # [B, 1 + T, I]
        y = self.product(torch.cat((x[:, 1:], x[:, :-1]), dim=-1))  # [B, T, s O]
        return y.view(len(y), -1, self.outputs).transpose(1, 2).contiguous()  # [B, O, s T]


def fold_weight_norm(weights: Weights, *shape: int) -> Tensor:
    """Return ``g v / |v|``; the norm is over all axes but the first (arXiv:1602.07868)."""
    g = weights.tensor("weight_g", shape[0], 1, 1)  # [shape[0], 1, 1]
    v = weights.tensor("weight_v", *shape)  # shape, a copy
    return v.mul_(g / torch.linalg.vector_norm(v, dim=(1, 2), keepdim=True))  # shape
