"""The operators as the model calls them: the arguments and the grid of each kernel.

Block sizes follow from the shapes; there is no autotuning.  A kernel is compiled at its first call
with arguments of a kind, which is before a CUDA graph is captured.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import torch
import triton
from torch import Tensor

from voxcpm_openai.runtime.model import noise
from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv
from voxcpm_openai.runtime.model.int8_ops import Int8Ops, TorchInt8Ops
from voxcpm_openai.runtime.model.kernels import decode, encode, norm, pointwise, solver, vae_ops
from voxcpm_openai.runtime.model.ops import Draw, HeadLayout, Rope
from voxcpm_openai.runtime.model.state import TokenBatch

MIN_DOT = 16
"""The smallest number of rows and columns of ``tl.dot``."""
BLOCK_KEYS = 64
"""Keys that a program loads together: 16 KiB at the largest head in bfloat16."""
ENOUGH_PROGRAMS = 128
"""Programs that fill an H100's multiprocessors: with fewer, a row's keys are split."""
MAX_SPLITS = 8
"""The most splits of a row's keys; a power of two."""
LOG2_E = math.log2(math.e)


class TritonOps:
    """One kernel per operator; for ``decode_attention`` two, or three with few rows."""

    gathers_kv = False
    fuses_vae = True
    int8: Int8Ops = TorchInt8Ops()  # a GPU has no such products

    def norm(self, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """Run one program per token."""
        normed = torch.empty(x.shape, dtype=x.dtype, device=x.device)  # [B, T, W]
        # Without a sum, ``delta`` and ``total`` are not used.
        _add_norm(x, x, weight, normed, normed, epsilon, adds=False)
        return normed

    def add_norm(
        self, x: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """Run one program per token."""
        total, normed = torch.empty_like(delta), torch.empty_like(delta)  # [B, T, W] each
        _add_norm(x, delta.contiguous(), weight, total, normed, epsilon, adds=True)
        return total, normed

    def swiglu(self, gate_up: Tensor) -> Tensor:
        """Run a few programs per token."""
        size = gate_up.shape[-1] // 2
        y = gate_up.new_empty(*gate_up.shape[:-1], size)  # [..., I]
        block = min(1024, triton.next_power_of_2(size))
        grid = (y.numel() // size, triton.cdiv(size, block))
        _launch(pointwise.swiglu, grid, gate_up.contiguous(), y, size, block=block)
        return y

    def attention(self, qkv: Tensor, heads: HeadLayout, rope: Rope | None, keep: slice) -> Tensor:
        """Run one program per head of a row, which rotates its tokens itself."""
        batch, num_tokens = qkv.shape[:2]
        queries = range(num_tokens)[keep]
        y = qkv.new_empty(batch, len(queries), heads.num_heads * heads.head_dim)  # [B, T', H D]
        _launch(
            encode.attention,
            (batch, heads.num_heads),
            qkv.contiguous(),
            *_tables(rope, qkv),
            y,
            _score_scale(heads),
            num_tokens=num_tokens,
            first_query=queries.start,
            num_queries=len(queries),
            num_heads=heads.num_heads,
            num_kv_heads=heads.num_kv_heads,
            head_dim=heads.head_dim,
            block_half=max(MIN_DOT, heads.head_dim // 2),
            block_tokens=max(MIN_DOT, triton.next_power_of_2(num_tokens)),
            rotates=rope is not None,
            num_warps=2,  # more would share no work and leave room for fewer programs
        )
        return y

    def decode_attention(
        self,
        qkv: Tensor,
        heads: HeadLayout,
        rope: Rope | None,
        k: Tensor,
        v: Tensor,
        batch: TokenBatch,
    ) -> Tensor:
        """Store the keys and values of all rows first, so that rows of one slot see each other."""
        rows = len(qkv)
        q = qkv.new_empty(rows, heads.num_heads, heads.head_dim)  # [B, H, D]
        _launch(
            decode.store_kv,
            (rows, heads.num_heads + 2 * heads.num_kv_heads),
            qkv.contiguous(),
            *_tables(rope, qkv),
            batch.slots,
            batch.positions,
            q,
            k,
            v,
            *k.stride()[:3],
            num_heads=heads.num_heads,
            num_kv_heads=heads.num_kv_heads,
            head_dim=heads.head_dim,
            rotates=rope is not None,
            num_warps=1,
        )
        return self._decode_attention(q, heads, k, v, batch)  # [B, H D]

    def _decode_attention(
        self, q: Tensor, heads: HeadLayout, k: Tensor, v: Tensor, batch: TokenBatch
    ) -> Tensor:
        """Return the attention of ``q [B, H, D]`` over the slots of the rows: ``[B, H D]``."""
        rows, group = len(q), heads.num_heads // heads.num_kv_heads
        num_splits = _num_splits(rows * heads.num_kv_heads, k.shape[2])
        y = q.new_empty(rows, heads.num_heads * heads.head_dim)  # [B, H D]
        partials, maxima, sums = y, y, y  # [B, H, splits, D], [B, H, splits] twice
        if num_splits > 1:
            partials = y.new_empty(
                rows, heads.num_heads, num_splits, heads.head_dim, dtype=torch.float32
            )  # [B, H, splits, D]
            maxima = partials.new_empty(rows, heads.num_heads, num_splits)  # [B, H, splits]
            sums = torch.empty_like(maxima)  # [B, H, splits]
        _launch(
            decode.decode_attention,
            (rows, heads.num_kv_heads, num_splits),
            q,
            k,
            v,
            batch.slots,
            batch.positions,
            partials,
            maxima,
            sums,
            *k.stride()[:3],
            _score_scale(heads),
            num_kv_heads=heads.num_kv_heads,
            group=group,
            head_dim=heads.head_dim,
            num_splits=num_splits,
            block_group=max(MIN_DOT, triton.next_power_of_2(group)),
            block_keys=BLOCK_KEYS if q.element_size() < 4 else BLOCK_KEYS // 2,
            num_stages=2,
        )
        if num_splits > 1:
            _launch(
                decode.combine_splits, (rows * heads.num_heads,), partials, maxima, sums, y,
                head_dim=heads.head_dim, num_splits=num_splits, num_warps=1,
            )  # fmt: skip
        return y

    def build_dit_input(
        self,
        condition: Tensor,
        time_embed: Tensor,
        past: Tensor,
        frames: Tensor,
        *,
        separate_time: bool,
    ) -> Tensor:
        """Run one program per token."""
        batch, condition_tokens, hidden_size = condition.shape
        prefix_tokens, patch_size = condition_tokens + separate_time, past.shape[1]
        num_tokens = prefix_tokens + 2 * patch_size
        y = frames.new_empty(2 * batch, num_tokens, hidden_size)  # [2 B, L, W]
        block = triton.next_power_of_2(hidden_size)
        _launch(
            solver.build_dit_input,
            (2 * batch, num_tokens),
            condition.contiguous(),
            time_embed,
            past.contiguous(),
            frames.contiguous(),
            y,
            time_embed.stride(0),
            condition_tokens=condition_tokens,
            prefix_tokens=prefix_tokens,
            patch_size=patch_size,
            hidden_size=hidden_size,
            block=block,
            num_warps=_num_warps(block),
        )
        return y

    def cfg_euler_step(self, x: Tensor, velocity: Tensor, cfg: Tensor, step_sizes: Tensor) -> None:
        """Run one program per row."""
        size = x.shape[1] * x.shape[2]
        block = triton.next_power_of_2(size)
        _launch(
            solver.cfg_euler_step,
            (len(x),),
            x,
            velocity.contiguous(),
            cfg,
            step_sizes,
            cfg.stride(0),
            step_sizes.stride(0),
            size=size,
            block=block,
            num_warps=_num_warps(block),
        )

    def noise(self, device: torch.device) -> Draw:  # noqa: ARG002  (the seeds' device counts)
        """Return a function that draws a row's noise in one program."""
        return _draw

    def snake(self, x: Tensor, alpha: Tensor, inverse: Tensor) -> Tensor:
        """Run one program per 1024 numbers."""
        return vae_ops.snake(_launch, x, alpha, inverse)  # [B, C, T]

    def snake_conv(
        self, x: Tensor, conv: DepthwiseConv, past: Tensor, slots: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """Run one program per row, some times, and 32 channels."""
        return vae_ops.snake_conv(_launch, x, conv, past, slots, dtype)  # [B, T, C]

    def snake_pairs(self, x: Tensor, snake: ChannelSnake, past: Tensor, slots: Tensor) -> Tensor:
        """Run one program per row, 64 times, and 32 channels."""
        return vae_ops.snake_pairs(_launch, x, snake, past, slots)  # [B, T, 2 C]

    def snake_output(
        self, x: Tensor, snake: ChannelSnake, taps: Tensor, bias: Tensor, past: Tensor,
        slots: Tensor,
    ) -> Tensor:  # fmt: skip
        """Run one program per row and some times."""
        return vae_ops.snake_output(_launch, x, snake, taps, bias, past, slots)  # [B, T]


def _launch(
    kernel: Any, grid: tuple[int, ...], first: Tensor, /, *rest: Any, **settings: Any
) -> None:
    """Launch a kernel on the device of its ``first`` argument.

    PyTorch's operators run where their tensors are; Triton uses the thread's current device.
    """
    with torch.cuda.device(first.device) if first.is_cuda else nullcontext():
        kernel[grid](first, *rest, **settings)


def _add_norm(
    x: Tensor, delta: Tensor, weight: Tensor, total: Tensor, normed: Tensor, epsilon: float,
    *, adds: bool,
) -> None:  # fmt: skip
    batch, num_tokens, hidden_size = x.shape
    block = triton.next_power_of_2(hidden_size)
    _launch(
        norm.add_norm,
        (batch * num_tokens,),
        x,
        delta,
        weight,
        total,
        normed,
        num_tokens,
        x.stride(0),
        x.stride(1),
        epsilon,
        hidden_size=hidden_size,
        block=block,
        adds=adds,
        num_warps=_num_warps(block),
    )


def _draw(seeds: Tensor, patches: Tensor, channels: int, frames: int) -> Tensor:
    """Return ``[B, C, P]`` for the seeds and patch numbers ``[B]``, as ``Noise``."""
    y = torch.empty(len(seeds), channels, frames, device=seeds.device)  # [B, C, P]
    size = channels * frames // 4
    _launch(
        solver.normal,
        (len(seeds),),
        seeds,
        patches,
        y,
        size=size,
        block=triton.next_power_of_2(size),
        rounds=noise.ROUNDS,
        num_warps=1,
    )
    return y


def _tables(rope: Rope | None, unused: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and sines ``[N, D]``; without ``rope``, tensors that no kernel reads."""
    return (rope.cos, rope.sin) if rope else (unused, unused)


def _score_scale(heads: HeadLayout) -> float:
    """Return the scale of the scores, as exponents of two instead of e."""
    return LOG2_E / math.sqrt(heads.head_dim)


def _num_splits(programs: int, length: int) -> int:
    """Return the number of splits of each row's keys, given ``programs`` without splits."""
    num_splits = 1
    while (
        num_splits < MAX_SPLITS
        and 2 * num_splits * programs <= ENOUGH_PROGRAMS
        and num_splits * BLOCK_KEYS < length
    ):
        num_splits *= 2
    return num_splits


def _num_warps(block: int) -> int:
    """Return the warps of a program: eight numbers per thread, at most eight warps."""
    return min(8, max(1, block // 256))
