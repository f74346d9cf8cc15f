"""The VAE's decoder as few large operators: fewer launches on a GPU, less memory traffic on any.

    a block         snake_pairs, a product            upsampling
                    three times: snake_conv, a product added to its input, on a GPU in place

Tensors are ``[B, T, C]``, so that products need no transposition.  The biases of the residual
products are added where their sums are read: a product in place has no room for one.

What passes between operators is float32, or float16: half the bytes, and rounded to 10 bits, as the
inputs of products in TF32 are.  Sums, activations and the state are always float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.causal_conv import (
    Affine,
    Conv,
    ConvState,
    Layer,
    PointwiseConv,
    ResidualUnit,
    Snake,
    Upsample,
)
from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv
from voxcpm_openai.runtime.model.linear import Linear, Packed, Plain, Tf32, product, tf32_products
from voxcpm_openai.runtime.model.ops import Ops


@dataclass(frozen=True)
class DecoderBlock:
    """The layers that raise the rate once."""

    affine: Affine | None
    snake: Snake
    upsample: Upsample
    units: Sequence[ResidualUnit]

    @property
    def layers(self) -> Sequence[Layer]:
        """All layers in their order."""
        return [*([self.affine] if self.affine else []), self.snake, self.upsample, *self.units]


class FusedDecoder:
    """The layers of a ``VAEDecoder``, run by fused operators."""

    def __init__(
        self,
        first: Conv,
        widen: PointwiseConv,
        blocks: Sequence[DecoderBlock],
        snake: Snake,
        last: Conv,
        dtype: torch.dtype,
        *,
        tf32: bool,
    ) -> None:
        """``dtype``: of tensors between operators; ``tf32``: products may round their inputs."""
        self.dtype = dtype
        self.first = DepthwiseConv(_taps(first), first.bias)
        self.first_spec = first.spec
        self.widen = _product(
            product(widen.weight[..., 0], widen.bias, tf32=tf32), dtype, tf32=tf32
        )
        self.blocks: list[_Block] = []
        offset = torch.zeros_like(widen.bias)  # [C]: what ``x`` still lacks
        for block in blocks:
            self.blocks.append(_Block(block, offset, dtype, tf32=tf32))
            offset = self.blocks[-1].offset
        self.snake = _snake(snake, offset)
        self.taps, self.bias, self.last_spec = last.weight[0].T.contiguous(), last.bias, last.spec

    def __call__(self, ops: Ops, frames: Tensor, state: ConvState) -> Tensor:
        """Decode ``frames [B, C, T]``; return ``[B, samples]``."""
        slots, buffers = state.rows, state.buffers
        if isinstance(slots, slice):
            slots = torch.arange(slots.start, slots.stop, device=frames.device)  # [B]
        past = buffers[self.first_spec.index]
        y = ops.snake_conv(frames.transpose(1, 2), self.first, past, slots, self.dtype)  # [B, T, C]
        x = self.widen(y)  # [B, T, C']
        for block in self.blocks:
            x = block(ops, x, buffers, slots)  # [B, s T, C' / 2]
        past = buffers[self.last_spec.index]
        return ops.snake_output(x, self.snake, self.taps, self.bias, past, slots)  # [B, samples]


class _Block:
    """A ``DecoderBlock``, for an ``x`` that lacks an offset."""

    def __init__(
        self, block: DecoderBlock, offset: Tensor, dtype: torch.dtype, *, tf32: bool
    ) -> None:
        self.tf32 = tf32
        self.snake = _snake(block.snake, offset, block.affine)
        self.spec, self.outputs = block.upsample.spec, block.upsample.outputs
        self.product = _product(block.upsample.product, dtype, tf32=tf32)
        self.units: list[_Unit] = []
        self.offset = torch.zeros_like(block.units[0].conv.bias)  # [C]: what the output lacks
        for unit in block.units:
            self.units.append(_Unit(unit, self.offset, dtype, tf32=tf32))
            self.offset = self.offset + unit.pointwise.bias  # [C]

    def __call__(self, ops: Ops, x: Tensor, buffers: Sequence[Tensor], slots: Tensor) -> Tensor:
        """``x [B, T, I]`` to ``[B, s T, C]``."""
        x = self.product(ops.snake_pairs(x, self.snake, buffers[self.spec.index], slots))
        x = x.view(len(x), -1, self.outputs)  # [B, s T, C]
        for unit in self.units:
            y = ops.snake_conv(x, unit.conv, buffers[unit.index], slots, x.dtype)  # [B, s T, C]
            if unit.packed is not None:
                x = unit.packed.plus(y, x)  # [B, s T, C]
                continue
            with tf32_products(allowed=self.tf32):
                x.flatten(0, 1).addmm_(y.flatten(0, 1), unit.weight)  # [B s T, C]
        return x


class _Unit:
    """A ``ResidualUnit``, for an ``x`` that lacks an offset."""

    def __init__(
        self, unit: ResidualUnit, offset: Tensor, dtype: torch.dtype, *, tf32: bool
    ) -> None:
        conv = unit.conv
        before, after = _snake(unit.snake, offset), _snake(unit.second_snake)
        self.conv = DepthwiseConv(_taps(conv), conv.bias, conv.dilation, before, after)
        self.index = conv.spec.index
        weight = unit.pointwise.weight[..., 0].to(dtype)  # [C, C], a view in float32
        self.weight = weight.T  # [C, C]
        packed = product(weight, None, tf32=tf32)
        self.packed = packed if isinstance(packed, Packed) else None  # on a CPU


def _product(given: Linear, dtype: torch.dtype, *, tf32: bool) -> Linear:
    """Return a product with weights in ``dtype``."""
    if not isinstance(given, Plain) or given.bias is None:
        return given.to(dtype) if isinstance(given, Packed) else given
    kind = Tf32 if tf32 and dtype == torch.float32 else Plain
    return kind(given.weight.to(dtype), given.bias.to(dtype))


def _taps(conv: Conv) -> Tensor:
    """Return the weights ``[K, C]`` of a depthwise convolution."""
    return conv.weight[:, 0].T.contiguous()


def _snake(
    snake: Snake, offset: Tensor | None = None, affine: Affine | None = None
) -> ChannelSnake:
    """Return the activation of ``affine(x + offset)``."""
    alpha, inverse = snake.alpha.flatten(), snake.inverse.flatten()  # [C] each
    offset = torch.zeros_like(alpha) if offset is None else offset  # [C]
    if affine is None:
        return ChannelSnake(alpha, inverse, offset)
    scale, added = affine.scale.flatten(), affine.offset.flatten()  # [C] each
    return ChannelSnake(alpha, inverse, torch.addcmul(added, scale, offset), scale)
