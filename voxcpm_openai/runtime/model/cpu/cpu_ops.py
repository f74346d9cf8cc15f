"""The operators of the model in C++, for a CPU.

Each is one call without the GIL, and runs on as many threads as PyTorch is set to.  Sizes that none
of the models has are left to PyTorch.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.cpu.int8_ops import CpuInt8Ops
from voxcpm_openai.runtime.model.cpu.library import NAMES, function
from voxcpm_openai.runtime.model.cpu.vae_ops import VaeOps
from voxcpm_openai.runtime.model.int8_ops import Int8Ops
from voxcpm_openai.runtime.model.ops import Draw, HeadLayout, Rope, TorchOps
from voxcpm_openai.runtime.model.state import TokenBatch

MAX_TOKENS = 64
"""Of a row of full attention; its keys and values are in the processor's cache."""


class CpuOps(VaeOps):
    """The operators."""

    gathers_kv = False

    def __init__(self, library: ctypes.CDLL) -> None:
        """``library``: as ``build.load`` returns it."""
        super().__init__(library)
        self.int8: Int8Ops = CpuInt8Ops(library)
        self._torch = TorchOps()
        self._typed = {
            (name, dtype): function(library, name, suffix)
            for name in (
                "add_norm", "swiglu", "attention", "decode_attention", "build_dit_input",
                "cfg_euler_step",
            )
            for dtype, suffix in NAMES.items()
        }  # fmt: skip

    def norm(self, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """Return the RMSNorm."""
        return self._add_norm(x, None, weight, epsilon)[1]

    def add_norm(
        self, x: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """Return the sum and its RMSNorm."""
        return self._add_norm(x, delta.contiguous(), weight, epsilon)

    def _add_norm(
        self, x: Tensor, delta: Tensor | None, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """Return ``x [..., W]``, plus ``delta`` if there is one, and the norm."""
        if x.ndim != 3 or x.stride(2) != 1:
            x = x.contiguous()
        inner, outer_stride, inner_stride = 1, x.shape[-1], 0
        if x.ndim == 3:  # the tokens that are kept, of all
            inner, outer_stride, inner_stride = x.shape[1], x.stride(0), x.stride(1)
        y = torch.empty(x.shape, dtype=x.dtype)
        total = x if delta is None else torch.empty_like(y)
        width = x.shape[-1]
        self._typed["add_norm", x.dtype](
            x, inner, outer_stride, inner_stride, delta, weight,
            epsilon, total, y, x.numel() // width, width,
            torch.get_num_threads(),
        )  # fmt: skip
        return total, y

    def swiglu(self, gate_up: Tensor) -> Tensor:
        """Return the gated product."""
        gate_up = gate_up.contiguous()
        width = gate_up.shape[-1] // 2
        y = torch.empty((*gate_up.shape[:-1], width), dtype=gate_up.dtype)  # [..., I]
        self._typed["swiglu", y.dtype](
            gate_up, y, y.numel() // width, width, torch.get_num_threads()
        )
        return y

    def attention(self, qkv: Tensor, heads: HeadLayout, rope: Rope | None, keep: slice) -> Tensor:
        """Rotate and attend with the keys and values of a head in the cache."""
        batch, tokens, _ = qkv.shape
        first, end, _ = keep.indices(tokens)
        if tokens > MAX_TOKENS:
            return self._torch.attention(qkv, heads, rope, keep)
        qkv = qkv.contiguous()
        y = torch.empty(batch, end - first, heads.num_heads * heads.head_dim, dtype=qkv.dtype)
        self._typed["attention", y.dtype](
            qkv, *tables(rope), y, batch, tokens, heads.num_heads,
            heads.num_kv_heads, heads.head_dim, first, end - first, torch.get_num_threads(),
        )  # fmt: skip
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
        """Store keys and values, then read those of each row's slot where they lie."""
        qkv = qkv.contiguous()
        rows = len(qkv)
        y = torch.empty(rows, heads.num_heads * heads.head_dim, dtype=qkv.dtype)  # [B, H D]
        self._typed["decode_attention", y.dtype](
            qkv, *tables(rope), k, v, k.stride(0), k.stride(1),
            batch.slots, batch.positions, y, rows,
            heads.num_heads, heads.num_kv_heads, heads.head_dim, torch.get_num_threads(),
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
        """Copy all parts to their places."""
        parts = [part.contiguous() for part in (condition, time_embed, past, frames)]
        (batch, conditions, width), patch = condition.shape, past.shape[1]
        length = conditions + separate_time + 2 * patch
        y = torch.empty(2 * batch, length, width, dtype=past.dtype)  # [2 B, L, W]
        self._typed["build_dit_input", y.dtype](
            *parts, y, batch, conditions, patch, width,
            int(separate_time),
        )  # fmt: skip
        return y

    def cfg_euler_step(self, x: Tensor, velocity: Tensor, cfg: Tensor, step_sizes: Tensor) -> None:
        """Step in one pass over each row."""
        velocity, cfg, step_sizes = velocity.contiguous(), cfg.contiguous(), step_sizes.contiguous()
        self._typed["cfg_euler_step", velocity.dtype](
            x, velocity, cfg, step_sizes, len(x),
            x[0].numel(),
        )  # fmt: skip

    def noise(self, device: torch.device) -> Draw:
        """Return PyTorch's: it is drawn once for a patch."""
        return self._torch.noise(device)


def tables(rope: Rope | None) -> tuple[Tensor | None, Tensor | None]:
    """Return cosines and sines."""
    return (None, None) if rope is None else (rope.cos, rope.sin)
