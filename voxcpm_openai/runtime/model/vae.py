"""The audio VAE: samples to latent frames, and frames to samples without a seam.

Descript's codec (arXiv:2306.06546) made causal and depthwise.  The decoder keeps the past of its
convolutions in each slot, so that a stream decoded patch by patch equals one decoded whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import torch
from torch import Tensor

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.model.causal import (
    Affine,
    Around,
    Chain,
    Conv,
    Mix,
    Past,
    Piece,
    Place,
    Snake,
    Upsample,
)
from voxcpm_openai.runtime.model.config import VaeConfig

DILATIONS = (1, 3, 9)  # of the three residual units of each block
WIDTH = 7  # of the filters that do not change the rate
BLOCK = 48
"""Frames of a clip that are encoded at a time, two seconds: what lies between the layers stays in a
CPU's cache, which makes it two and a half times as fast as a clip of 7 s at once."""


class Encoder:
    """Samples to the means of latent frames."""

    def __init__(self, weights: Weights, config: VaeConfig) -> None:
        build, block = _Builder(), weights.under("encoder.block")
        channels = config.encoder_width
        pieces: list[Piece] = [
            Conv(block.under("0"), build.place(1, WIDTH - 1), channels, 1, WIDTH)
        ]
        for i, stride in enumerate(config.encoder_strides, start=1):
            inner = block.under(f"{i}.block")
            pieces += build.units(inner, channels, first=0)
            pieces.append(Snake(inner.under("3"), channels))
            # Upstream's first VAE looks one sample further back where the stride is odd.
            past = stride + (stride % 2 and not config.trims_odd_strides)
            down = build.place(channels, past)
            pieces.append(
                Conv(inner.under("4"), down, 2 * channels, channels, 2 * stride, stride=stride)
            )
            channels *= 2
        mean = weights.under("encoder.fc_mu")
        pieces.append(Conv(mean, build.place(channels, 2), config.latent, channels, 3))
        self.chain = Chain(pieces)
        self.places = build.places
        self.block = BLOCK * config.frame_in
        self.device = weights.device

    def __call__(self, samples: Tensor) -> Tensor:
        """``samples [N]``, a whole number of frames, to ``[C, frames]``."""
        buffers = [
            torch.zeros(1, place.channels, place.past, device=self.device) for place in self.places
        ]  # [1, channels, past] each
        past = Past(buffers, slice(None))
        x = samples.to(self.device, torch.float32)[None, None]  # [1, 1, N]
        frames = [self.chain(part, past) for part in torch.split(x, self.block, dim=-1)]
        return torch.cat(frames, dim=-1)[0]  # [C, frames]


class Decoder:
    """Latent frames to samples between -1 and 1, for many streams at once."""

    def __init__(self, weights: Weights, config: VaeConfig) -> None:
        build, model = _Builder(), weights.under("decoder.model")
        latent, channels = config.latent, config.decoder_width
        pieces: list[Piece] = [
            Conv(model.under("0"), build.place(latent, WIDTH - 1), latent, 1, WIDTH),
            Mix(model.under("1"), channels, latent),
        ]
        for i, stride in enumerate(config.decoder_strides, start=2):
            if config.rate_bounds is not None:
                pieces.append(_conditioned(weights, config, i, channels))
            inner = model.under(f"{i}.block")
            pieces.append(Snake(inner.under("0"), channels))
            place = build.place(channels, 1)
            channels //= 2
            pieces.append(Upsample(inner.under("1"), place, channels, stride))
            pieces += build.units(inner, channels, first=2)
        last = 2 + len(config.decoder_strides)
        pieces.append(Snake(model.under(f"{last}"), channels))
        wave = build.place(channels, WIDTH - 1)
        pieces.append(Conv(model.under(f"{last + 1}"), wave, 1, channels, WIDTH))
        self.chain = Chain(pieces)
        self.memory = [(place.channels, place.past) for place in build.places]

    def __call__(self, frames: Tensor, buffers: Sequence[Tensor], rows: slice | Tensor) -> Tensor:
        """Go on with ``frames [B, C, T]`` of the streams ``rows``; return ``[B, samples]``.

        ``buffers``: ``[S, channels, past]`` for each of ``memory``; they are written.
        """
        return torch.tanh(self.chain(frames, Past(buffers, rows))[:, 0])  # [B, samples]


class _Builder:
    """Numbers the places of a network in the order in which they are built."""

    def __init__(self) -> None:
        self.places: list[Place] = []

    def place(self, channels: int, past: int) -> Place:
        self.places.append(Place(len(self.places), channels, past))
        return self.places[-1]

    def units(self, weights: Weights, channels: int, first: int) -> list[Piece]:
        """Residual units: a depthwise filter and a mix, each behind a snake, and the way around."""
        units: list[Piece] = []
        for i, dilation in enumerate(DILATIONS, start=first):
            inner = weights.under(f"{i}.block")
            place = self.place(channels, (WIDTH - 1) * dilation)
            units.append(
                Around(
                    [
                        Snake(inner.under("0"), channels),
                        Conv(inner.under("1"), place, channels, 1, WIDTH, dilation=dilation),
                        Snake(inner.under("2"), channels),
                        Mix(inner.under("3"), channels, channels),
                    ]
                )
            )
        return units


def _conditioned(weights: Weights, config: VaeConfig, block: int, channels: int) -> Affine:
    """VoxCPM2 scales the input of each block by the rate of its output, which is always one."""
    bounds = config.rate_bounds or ()
    layer = weights.under(f"decoder.sr_cond_model.{block}")
    return Affine(layer, channels, len(bounds) + 1, bisect_left(bounds, config.sample_rate))
