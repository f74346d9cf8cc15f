"""The operators of the VAE's decoder in C++; see ``cpu_ops``."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.cpu.library import NAMES, function
from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv


class VaeOps:
    """The operators; tensors are float32 or bfloat16, weights and the past float32."""

    fuses_vae = True

    def __init__(self, library: ctypes.CDLL) -> None:
        self._snake = function(library, "snake_rows")
        self._vae = {
            (name, dtype): function(library, name, suffix)
            for name in ("snake_conv", "snake_pairs", "snake_output")
            for dtype, suffix in NAMES.items()
        }

    def snake(self, x: Tensor, alpha: Tensor, inverse: Tensor) -> Tensor:
        """Return the activation."""
        x = x.contiguous()
        y = torch.empty_like(x)  # [B, C, T]
        self._snake(x, alpha, inverse, y, *x.shape, torch.get_num_threads())
        return y

    def snake_conv(
        self, x: Tensor, conv: DepthwiseConv, past: Tensor, slots: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """Activate, convolve and activate a block of channels in one pass over time."""
        x = x.contiguous()
        y = torch.empty_like(x)  # [B, T, C]
        self._vae["snake_conv", x.dtype](
            x, *parts(conv.before), conv.taps, conv.bias, conv.dilation, *parts(conv.after), past,
            past.stride(0), slots, y, *x.shape, torch.get_num_threads(),
        )  # fmt: skip
        return y.to(dtype)

    def snake_pairs(self, x: Tensor, snake: ChannelSnake, past: Tensor, slots: Tensor) -> Tensor:
        """Write each activation to both of its places."""
        x = x.contiguous()
        y = torch.empty(*x.shape[:2], 2 * x.shape[2], dtype=x.dtype)  # [B, T, 2 C]
        self._vae["snake_pairs", x.dtype](
            x, *parts(snake), past, past.stride(0), slots, y, *x.shape, torch.get_num_threads()
        )
        return y

    def snake_output(
        self, x: Tensor, snake: ChannelSnake, taps: Tensor, bias: Tensor, past: Tensor,
        slots: Tensor,
    ) -> Tensor:  # fmt: skip
        """Activate and convolve a block of channels in one pass over time; add up the blocks."""
        x = x.contiguous()
        y = torch.empty(x.shape[:2])  # [B, T]
        self._vae["snake_output", x.dtype](
            x, *parts(snake), taps, bias, past, past.stride(0), slots, y, *x.shape,
            torch.get_num_threads(),
        )  # fmt: skip
        return y


def parts(snake: ChannelSnake | None) -> tuple[Tensor | None, ...]:
    """Return the tensors of an activation, or nothing for none."""
    if snake is None:
        return None, None, None, None
    return snake.alpha, snake.inverse, snake.offset, snake.scale
