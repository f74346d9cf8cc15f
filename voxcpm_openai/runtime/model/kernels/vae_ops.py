"""The VAE's operators: the arguments and the grid of each kernel.

``launch`` is that of ``triton_ops``, whose class has these as methods.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
from torch import Tensor

from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv
from voxcpm_openai.runtime.model.kernels import pointwise, vae

Launch = Callable[..., None]

TAPS = 7
LANES = 16
"""Chains of outputs of a program; at least the largest dilation, so that the first has all that
reach into the past."""
CHANNELS = 32
"""Channels of a program: 64 or 128 bytes, read together."""
WARPS = 8
"""Warps of a program of chains: with fewer, a thread would hold the weights of eight channels."""
TIMES = 64
"""Times of a program of ``snake_pairs``."""
STEPS = (8, 16, 32)
"""Outputs of a chain: at least its six inputs of the past.  Longer ones repeat fewer activations,
shorter ones fill a GPU with fewer rows."""


def snake(launch: Launch, x: Tensor, alpha: Tensor, inverse: Tensor) -> Tensor:
    """Run one program per 1024 numbers."""
    x = x.contiguous()
    y = torch.empty_like(x)  # [B, C, T]
    grid = (triton.cdiv(x.numel(), 1024),)
    launch(
        pointwise.snake, grid, x, alpha, inverse, y, x.numel(), x.shape[2], x.shape[1],
        block=1024,
    )  # fmt: skip
    return y


def snake_conv(
    launch: Launch, x: Tensor, conv: DepthwiseConv, past: Tensor, slots: Tensor, dtype: torch.dtype
) -> Tensor:
    """Run one program per row, ``LANES`` chains and ``CHANNELS`` channels."""
    rows, length, channels = x.shape
    y = torch.empty(rows, length, channels, dtype=dtype, device=x.device)  # [B, T, C]
    before, after = conv.before, conv.after
    unused = conv.bias
    steps = _steps(length)
    chains = conv.dilation * triton.cdiv(length, conv.dilation * steps)
    grid = (rows, triton.cdiv(chains, LANES), triton.cdiv(channels, CHANNELS))
    launch(
        vae.snake_conv,
        grid,
        x.contiguous(),
        conv.taps,
        conv.bias,
        *((before.offset, before.alpha, before.inverse) if before else [unused] * 3),
        *((after.offset, after.alpha, after.inverse) if after else [unused] * 3),
        past,
        slots,
        y,
        length,
        channels,
        past.stride(0),
        _limit(dtype),
        dilation=conv.dilation,
        activates=before is not None,
        lanes=LANES,
        steps=steps,
        block=CHANNELS,
        block_past=triton.next_power_of_2((TAPS - 1) * conv.dilation),
        num_warps=WARPS,
    )
    return y


def snake_pairs(
    launch: Launch, x: Tensor, snake: ChannelSnake, past: Tensor, slots: Tensor
) -> Tensor:
    """Run one program per row, ``TIMES`` times and ``CHANNELS`` channels."""
    rows, length, channels = x.shape
    y = x.new_empty(rows, length, 2 * channels)  # [B, T, 2 C]
    launch(
        vae.snake_pairs,
        (rows, triton.cdiv(length, TIMES), triton.cdiv(channels, CHANNELS)),
        x.contiguous(),
        snake.offset if snake.scale is None else snake.scale,
        snake.offset,
        snake.alpha,
        snake.inverse,
        past,
        slots,
        y,
        length,
        channels,
        past.stride(0),
        _limit(x.dtype),
        scales=snake.scale is not None,
        times=TIMES,
        block=CHANNELS,
    )
    return y


def snake_output(
    launch: Launch, x: Tensor, snake: ChannelSnake, taps: Tensor, bias: Tensor, past: Tensor,
    slots: Tensor,
) -> Tensor:  # fmt: skip
    """Run one program per row and ``LANES`` chains; each has all channels."""
    rows, length, channels = x.shape
    y = torch.empty(rows, length, device=x.device)  # [B, T]
    steps = _steps(length)
    launch(
        vae.snake_output,
        (rows, triton.cdiv(length, LANES * steps)),
        x.contiguous(),
        taps,
        bias,
        snake.offset,
        snake.alpha,
        snake.inverse,
        past,
        slots,
        y,
        length,
        channels,
        past.stride(0),
        _limit(x.dtype),
        lanes=LANES,
        steps=steps,
        block=triton.next_power_of_2(channels),
        num_warps=WARPS,
    )
    return y


def _steps(length: int) -> int:
    """Return the outputs of a chain for a row of ``length`` outputs."""
    return next((steps for steps in STEPS if length <= steps * LANES), STEPS[-1])


def _limit(dtype: torch.dtype) -> float:
    """Return the largest number of a dtype."""
    return torch.finfo(dtype).max
