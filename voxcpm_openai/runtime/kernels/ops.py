"""The kernels as the model calls them: what each is given, and how it is cut into programs.

The sizes of programs are fixed by the shapes, and nothing is tried out when running: a kernel is
compiled when it is first called with numbers of a kind, which is before a CUDA graph is captured.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import torch
import triton
from torch import Tensor

from voxcpm_openai.runtime.kernels import local, norm, past, solver
from voxcpm_openai.runtime.kernels import snake as activation
from voxcpm_openai.runtime.model import noise
from voxcpm_openai.runtime.model.ops import Draw, Heads, Rope
from voxcpm_openai.runtime.model.state import Rows

PRODUCT = 16
"""Rows and columns of the smallest matrix product that there is."""
KEYS = 64
"""Keys that a program looks at together: 16 KiB of them at the largest width in bfloat16."""
PROGRAMS = 128
"""Enough for all multiprocessors of an H100: with fewer, a row's keys are shared out."""
PARTS = 8
"""The most that they are shared out to; a power of two."""
LOG2_E = math.log2(math.e)


class TritonOps:
    """A kernel for each operator; for attention over the past two, or three where rows are few."""

    copies_the_past = False

    def norm(self, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """One program a token."""
        normed = torch.empty(x.shape, dtype=x.dtype, device=x.device)  # [B, T, W]
        # What is not added is not looked at either.
        _normed(x, x, weight, normed, normed, epsilon, adds=False)
        return normed

    def add_norm(
        self, x: Tensor, more: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """One program a token."""
        total, normed = torch.empty_like(more), torch.empty_like(more)  # [B, T, W] each
        _normed(x, more.contiguous(), weight, total, normed, epsilon, adds=True)
        return total, normed

    def gated(self, gate_up: Tensor) -> Tensor:
        """A few programs a token."""
        inner = gate_up.shape[-1] // 2
        y = gate_up.new_empty(*gate_up.shape[:-1], inner)  # [..., I]
        block = min(1024, triton.next_power_of_2(inner))
        grid = (y.numel() // inner, triton.cdiv(inner, block))
        _launch(norm.gated, grid, gate_up.contiguous(), y, inner, block=block)
        return y

    def see_all(self, qkv: Tensor, heads: Heads, rope: Rope | None, keep: slice) -> Tensor:
        """One program for each head of a row: it rotates its tokens, and looks at all of them."""
        batch, tokens = qkv.shape[:2]
        kept = range(tokens)[keep]
        y = qkv.new_empty(batch, len(kept), heads.own * heads.width)  # [B, T', h D]
        _launch(
            local.attend,
            (batch, heads.own),
            qkv.contiguous(),
            *_tables(rope, qkv),
            y,
            _scale(heads),
            tokens=tokens,
            first=kept.start,
            kept=len(kept),
            own=heads.own,
            shared=heads.shared,
            width=heads.width,
            half=max(PRODUCT, heads.width // 2),
            block=max(PRODUCT, triton.next_power_of_2(tokens)),
            rotates=rope is not None,
            num_warps=2,  # more would share no work and leave room for fewer programs
        )
        return y

    def see_past(
        self, qkv: Tensor, heads: Heads, rope: Rope | None, k: Tensor, v: Tensor, rows: Rows
    ) -> Tensor:
        """Keys and values of all rows are kept first, so that rows of one slot see each other."""
        count = len(qkv)
        q = qkv.new_empty(count, heads.own, heads.width)  # [B, h, D]
        _launch(
            past.remember,
            (count, heads.own + 2 * heads.shared),
            qkv.contiguous(),
            *_tables(rope, qkv),
            rows.slots,
            rows.positions,
            q,
            k,
            v,
            *k.stride()[:3],
            own=heads.own,
            shared=heads.shared,
            width=heads.width,
            rotates=rope is not None,
            num_warps=1,
        )
        return self._seen(q, heads, k, v, rows)  # [B, h D]

    def _seen(self, q: Tensor, heads: Heads, k: Tensor, v: Tensor, rows: Rows) -> Tensor:
        """Attention of ``q [B, h, D]`` over the slots of its rows: ``[B, h D]``."""
        count, group = len(q), heads.own // heads.shared
        parts = _parts(count * heads.shared, k.shape[2])
        y = q.new_empty(count, heads.own * heads.width)  # [B, h D]
        found, peaks, sums = y, y, y  # [B, h, parts, D], [B, h, parts] twice
        if parts > 1:
            found = y.new_empty(count, heads.own, parts, heads.width, dtype=torch.float32)
            peaks = found.new_empty(count, heads.own, parts)  # [B, h, parts]
            sums = torch.empty_like(peaks)  # [B, h, parts]
        _launch(
            past.attend,
            (count, heads.shared, parts),
            q,
            k,
            v,
            rows.slots,
            rows.positions,
            found,
            peaks,
            sums,
            *k.stride()[:3],
            _scale(heads),
            shared=heads.shared,
            group=group,
            width=heads.width,
            parts=parts,
            block_group=max(PRODUCT, triton.next_power_of_2(group)),
            block_keys=KEYS if q.element_size() < 4 else KEYS // 2,
            num_stages=2,
        )
        if parts > 1:
            grid = (count * heads.own,)
            _launch(
                past.join, grid, found, peaks, sums, y,
                width=heads.width, parts=parts, num_warps=1,
            )  # fmt: skip
        return y

    def line_up(
        self, condition: Tensor, time: Tensor, past: Tensor, frames: Tensor, *, separate: bool
    ) -> Tensor:
        """One program a token."""
        batch, told, width = condition.shape
        lead, patch = told + separate, past.shape[1]
        y = frames.new_empty(2 * batch, lead + 2 * patch, width)  # [2 B, L, W]
        block = triton.next_power_of_2(width)
        _launch(
            solver.line_up,
            (2 * batch, lead + 2 * patch),
            condition.contiguous(),
            time,
            past.contiguous(),
            frames.contiguous(),
            y,
            time.stride(0),
            told=told,
            lead=lead,
            patch=patch,
            width=width,
            block=block,
            num_warps=_warps(block),
        )
        return y

    def guide(self, x: Tensor, velocity: Tensor, cfg: Tensor, strides: Tensor) -> None:
        """One program a row."""
        size = x.shape[1] * x.shape[2]
        block = triton.next_power_of_2(size)
        _launch(
            solver.guide,
            (len(x),),
            x,
            velocity.contiguous(),
            cfg,
            strides,
            cfg.stride(0),
            strides.stride(0),
            size=size,
            block=block,
            num_warps=_warps(block),
        )

    def noise(self, device: torch.device) -> Draw:  # noqa: ARG002  (that of the seeds)
        """Return what draws a row's noise in one program."""
        return _draw

    def snake(self, x: Tensor, alpha: Tensor, inverse: Tensor) -> Tensor:
        """One program for so many numbers, whichever rows they are of."""
        x = x.contiguous()
        y = torch.empty_like(x)  # [B, C, T]
        grid = (triton.cdiv(x.numel(), 1024),)
        _launch(
            activation.snake, grid, x, alpha, inverse, y, x.numel(), x.shape[2], x.shape[1],
            block=1024,
        )  # fmt: skip
        return y


def _launch(
    kernel: Any, grid: tuple[int, ...], first: Tensor, /, *rest: Any, **settings: Any
) -> None:
    """Start the kernel's programs on the device of its ``first`` argument.

    PyTorch's operators go where their tensors are; Triton goes where the thread is.
    """
    with torch.cuda.device(first.device) if first.is_cuda else nullcontext():
        kernel[grid](first, *rest, **settings)


def _normed(
    x: Tensor, more: Tensor, weight: Tensor, total: Tensor, normed: Tensor, epsilon: float,
    *, adds: bool,
) -> None:  # fmt: skip
    batch, tokens, width = x.shape
    block = triton.next_power_of_2(width)
    _launch(
        norm.add_norm,
        (batch * tokens,),
        x,
        more,
        weight,
        total,
        normed,
        tokens,
        x.stride(0),
        x.stride(1),
        epsilon,
        width=width,
        block=block,
        adds=adds,
        num_warps=_warps(block),
    )


def _draw(seeds: Tensor, patches: Tensor, channels: int, frames: int) -> Tensor:
    """``[B, C, P]`` for the seeds and numbers of patches ``[B]``, as ``Noise`` has it."""
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


def _tables(rope: Rope | None, instead: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[N, D]``; where there are none, something that nobody looks at."""
    return (rope.cos, rope.sin) if rope else (instead, instead)


def _scale(heads: Heads) -> float:
    """Of the scores, when they are exponents of two and not of e."""
    return LOG2_E / math.sqrt(heads.width)


def _parts(programs: int, length: int) -> int:
    """How many programs share out the keys of each of the ``programs`` that there are anyway."""
    parts = 1
    while parts < PARTS and 2 * parts * programs <= PROGRAMS and parts * KEYS < length:
        parts *= 2
    return parts


def _warps(block: int) -> int:
    """So many that each of their threads has eight numbers, and not more than eight."""
    return min(8, max(1, block // 256))
