"""The audio VAE: samples to latent frames, and frames to samples.

Descript's codec (arXiv:2306.06546), made causal and depthwise.  The decoder keeps the state of its
convolutions in each slot, so that a stream decoded patch by patch equals one decoded at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from voxcpm_openai.runtime.loading.checkpoint import Weights
from voxcpm_openai.runtime.model.causal_conv import (
    Affine,
    Conv,
    ConvState,
    ConvStateSpec,
    Layer,
    PointwiseConv,
    ResidualUnit,
    Sequential,
    Snake,
    Upsample,
)
from voxcpm_openai.runtime.model.config import VAEConfig
from voxcpm_openai.runtime.model.fused_vae import DecoderBlock, FusedDecoder
from voxcpm_openai.runtime.model.ops import Ops, TorchOps

DILATIONS = (1, 3, 9)  # of the three residual units of each block
KERNEL_SIZE = 7  # of the convolutions that do not change the rate
BLOCK = 48
"""Frames of a clip encoded at a time, two seconds: activations stay in the CPU's cache, which is
2.5 times as fast as a clip of 7 s at once."""


class VAEEncoder:
    """Samples to the means of latent frames."""

    def __init__(self, weights: Weights, config: VAEConfig, ops: Ops) -> None:
        build, block = _Builder(ops), weights.under("encoder.block")
        channels = config.encoder_dim
        layers: list[Layer] = [
            Conv(block.under("0"), build.spec(1, KERNEL_SIZE - 1), channels, 1, KERNEL_SIZE)
        ]
        for i, stride in enumerate(config.encoder_strides, start=1):
            inner = block.under(f"{i}.block")
            layers += build.units(inner, channels, first=0)
            layers.append(Snake(inner.under("3"), channels, ops))
            # Upstream's first VAE looks one sample further back where the stride is odd.
            past = stride + (stride % 2 and not config.trims_odd_strides)
            down = build.spec(channels, past)
            layers.append(
                Conv(inner.under("4"), down, 2 * channels, channels, 2 * stride, stride=stride)
            )
            channels *= 2
        mean = weights.under("encoder.fc_mu")
        layers.append(Conv(mean, build.spec(channels, 2), config.latent_dim, channels, 3))
        self.layers = Sequential(layers)
        self.specs = build.specs
        self.block = BLOCK * config.encoder_hop
        self.device = weights.device

    def __call__(self, samples: Tensor) -> Tensor:
        """``samples [N]``, a multiple of the frame length, to ``[C, frames]``."""
        buffers = [
            torch.zeros(1, spec.channels, spec.past, device=self.device) for spec in self.specs
        ]  # [1, channels, past] each
        state = ConvState(buffers, slice(None))
        x = samples.to(self.device, torch.float32)[None, None]  # [1, 1, N]
        frames = [self.layers(part, state) for part in torch.split(x, self.block, dim=-1)]
        return torch.cat(frames, dim=-1)[0]  # [C, frames]


class VAEDecoder:
    """Latent frames to samples between -1 and 1, for many streams at once."""

    def __init__(self, weights: Weights, config: VAEConfig, ops: Ops) -> None:
        build, model = _Builder(ops), weights.under("decoder.model")
        latent, channels = config.latent_dim, config.decoder_dim
        first = Conv(model.under("0"), build.spec(latent, KERNEL_SIZE - 1), latent, 1, KERNEL_SIZE)
        widen = PointwiseConv(model.under("1"), channels, latent)
        blocks: list[DecoderBlock] = []
        for i, stride in enumerate(config.decoder_strides, start=2):
            affine = None
            if config.rate_bounds is not None:
                affine = _conditioned(weights, config, i, channels)
            inner = model.under(f"{i}.block")
            snake = Snake(inner.under("0"), channels, ops)
            spec = build.spec(channels, 1)
            channels //= 2
            upsample = Upsample(inner.under("1"), spec, channels, stride)
            units = build.units(inner, channels, first=2)
            blocks.append(DecoderBlock(affine, snake, upsample, units))
        end = 2 + len(config.decoder_strides)
        snake = Snake(model.under(f"{end}"), channels, ops)
        spec = build.spec(channels, KERNEL_SIZE - 1)
        last = Conv(model.under(f"{end + 1}"), spec, 1, channels, KERNEL_SIZE)
        inside = [layer for block in blocks for layer in block.layers]
        self.layers = Sequential([first, widen, *inside, snake, last])
        self._fuse = partial(FusedDecoder, first, widen, blocks, snake, last, tf32=weights.tf32)
        self.fused = self._fuse(torch.float32)
        self.ops = ops
        self.conv_shapes = [(spec.channels, spec.past) for spec in build.specs]

    def __call__(self, frames: Tensor, buffers: Sequence[Tensor], rows: slice | Tensor) -> Tensor:
        """Decode the next ``frames [B, C, T]`` of the streams ``rows``; return ``[B, samples]``.

        ``buffers``: ``[S, channels, past]`` for each of ``conv_shapes``; they are updated.
        """
        state = ConvState(buffers, rows)
        if self.ops.fuses_vae:
            return self.fused(self.ops, frames, state)  # [B, samples]
        return torch.tanh(self.layers(frames, state)[:, 0])  # [B, samples]

    def use_float16(self, bound: float, frames: Tensor) -> float:
        """Let float16 pass between fused operators if it changes no sample by ``bound`` or more.

        Only for weights whose products may round (``Weights.tf32``).  Returns the largest change of
        the samples of ``frames [B, C, T]``, against exact float32.
        """
        halved, whole = self.in_float16(), self._fuse(torch.float32, tf32=False)
        exact, rounded = self._compared(TorchOps(), whole, halved, frames)  # [B, samples] each
        change = float((rounded - exact).abs().max().nan_to_num(nan=torch.inf))
        if change < bound:
            self.fused = halved
        return change

    def use_bfloat16(self, bound: float, frames: Tensor, ops: Ops) -> float:
        """Let bfloat16 pass between fused operators if samples differ by ``bound`` dB or more.

        Once at most: the decoder must still be in float32, with which it is compared.
        Returns the ratio of the samples of ``frames [B, C, T]`` to their change, in dB.
        """
        rounding = self._fuse(torch.bfloat16)
        exact, rounded = self._compared(ops, self.fused, rounding, frames)  # [B, samples] each
        ratio = float(20 * (exact.norm() / (rounded - exact).norm()).log10().nan_to_num(-torch.inf))
        if ratio >= bound:
            self.fused = rounding
        return ratio

    def _compared(
        self, ops: Ops, exact: FusedDecoder, other: FusedDecoder, frames: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode ``frames [B, C, T]`` by two decoders."""
        first, second = (
            fused(ops, frames, ConvState(self._zeros(frames), slice(0, len(frames))))
            for fused in (exact, other)
        )  # [B, samples] each
        return first, second

    def in_float16(self) -> FusedDecoder:
        """Return the fused decoder with float16 between operators, and weights of its own."""
        return self._fuse(torch.float16)

    def _zeros(self, frames: Tensor) -> list[Tensor]:
        """Return the state of silence for ``frames [B, C, T]``: ``[B, channels, past]`` each."""
        return [
            torch.zeros(len(frames), *shape, device=frames.device) for shape in self.conv_shapes
        ]


class _Builder:
    """Builds layers, and numbers the convolution states in the order of their layers."""

    def __init__(self, ops: Ops) -> None:
        self.ops = ops
        self.specs: list[ConvStateSpec] = []

    def spec(self, channels: int, past: int) -> ConvStateSpec:
        self.specs.append(ConvStateSpec(len(self.specs), channels, past))
        return self.specs[-1]

    def units(self, weights: Weights, channels: int, first: int) -> list[ResidualUnit]:
        """Return the residual units of a block, whose layers are numbered from ``first``."""
        units: list[ResidualUnit] = []
        for i, dilation in enumerate(DILATIONS, start=first):
            inner = weights.under(f"{i}.block")
            spec = self.spec(channels, (KERNEL_SIZE - 1) * dilation)
            units.append(
                ResidualUnit(
                    Snake(inner.under("0"), channels, self.ops),
                    Conv(inner.under("1"), spec, channels, 1, KERNEL_SIZE, dilation=dilation),
                    Snake(inner.under("2"), channels, self.ops),
                    PointwiseConv(inner.under("3"), channels, channels),
                )
            )
        return units


def _conditioned(weights: Weights, config: VAEConfig, block: int, channels: int) -> Affine:
    """Return VoxCPM2's scaling of a block's input, which depends on the output rate."""
    bounds = config.rate_bounds or ()
    layer = weights.under(f"decoder.sr_cond_model.{block}")
    return Affine(layer, channels, len(bounds) + 1, bisect_left(bounds, config.sample_rate))
