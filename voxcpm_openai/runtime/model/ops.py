"""The small operators of the model, which may be fused kernels.

    TorchOps     PyTorch's operators; the reference for all others
    CpuOps       in C++ (``cpu``): for a CPU
    TritonOps    one or two kernels each (``kernels``): for a GPU

A model is loaded with PyTorch's; ``VoxCPM.use`` exchanges them.  Shapes: B rows, T tokens of a row,
S slots, N positions of a slot, H heads of dimension D, KV heads of keys and values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv, extend
from voxcpm_openai.runtime.model.int8_ops import Int8Ops, TorchInt8Ops
from voxcpm_openai.runtime.model.noise import Noise
from voxcpm_openai.runtime.model.state import TokenBatch

Draw = Callable[[Tensor, Tensor, int, int], Tensor]
"""Draws noise ``[B, C, P]`` from seeds ``[B]``, patch numbers ``[B]``, C and P, as ``Noise``."""


@dataclass(frozen=True)
class HeadLayout:
    """The layout of a row ``qkv [(H + 2 KV) D]``: queries, keys, values."""

    num_heads: int  # H
    num_kv_heads: int  # KV, a divisor of H
    head_dim: int  # D

    @property
    def qkv_size(self) -> int:
        """The length of a row."""
        return (self.num_heads + 2 * self.num_kv_heads) * self.head_dim


@dataclass(frozen=True)
class Rope:
    """Cosines and sines of each position, in float32 whatever the dtype of the model.

    Rotation takes x1, x2 (halves of a head) to x1 cos - x2 sin, x2 cos + x1 sin.
    """

    cos: Tensor  # [N, D]
    sin: Tensor  # [N, D], with the sign of the swap

    def at(self, positions: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, ``[N', 1, D]`` each; the 1 is the axis of heads."""
        return self.cos[positions].unsqueeze(-2), self.sin[positions].unsqueeze(-2)


class Ops(Protocol):
    """The operators.  None synchronizes with the host, so that a CUDA graph can capture them."""

    gathers_kv: bool
    """Whether ``decode_attention`` copies keys and values up to ``TokenBatch.kv_len``: if so, a
    smaller ``kv_len`` is cheaper."""
    fuses_vae: bool
    """Whether the VAE's decoder runs as few large operators on ``[B, T, C]``, those after ``snake``
    (``fused_vae``), or layer by layer on ``[B, C, T]``."""
    int8: Int8Ops
    """The operators around products in 8 bits."""

    def norm(self, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """Return the RMSNorm of ``x [..., W]``, times ``weight [W]``."""

    def add_norm(
        self, x: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """Return ``x + delta``, ``[B, T, W]`` each, and its norm."""

    def swiglu(self, gate_up: Tensor) -> Tensor:
        """Return ``silu(gate) * up`` of ``gate_up [..., 2 I]``: ``[..., I]``."""

    def attention(self, qkv: Tensor, heads: HeadLayout, rope: Rope | None, keep: slice) -> Tensor:
        """Return full attention over the tokens ``qkv [B, T, (H + 2 KV) D]``: ``[B, T', H D]``.

        Their positions start at 0.  ``keep``: the tokens whose output is wanted.
        """

    def decode_attention(
        self,
        qkv: Tensor,
        heads: HeadLayout,
        rope: Rope | None,
        k: Tensor,
        v: Tensor,
        batch: TokenBatch,
    ) -> Tensor:
        """Return the attention of one token per row over its slot, up to itself: ``[B, H D]``.

        The keys and values of ``qkv [B, (H + 2 KV) D]`` are stored in ``k, v [S, KV, N, D]`` first,
        so that rows of one slot, at different positions, attend to each other.
        """

    def build_dit_input(
        self,
        condition: Tensor,
        time_embed: Tensor,
        past: Tensor,
        frames: Tensor,
        *,
        separate_time: bool,
    ) -> Tensor:
        """Return the input of LocDiT, ``[2 B, L, W]``: rows with their condition, then without.

        ``condition [B, M, W]``, ``time_embed [B, W]``, then ``past, frames [B, P, W]``.
        ``separate_time``: the time is a token of its own after the condition; otherwise it is added
        to the condition, which has one token.
        """

    def cfg_euler_step(self, x: Tensor, velocity: Tensor, cfg: Tensor, step_sizes: Tensor) -> None:
        """Update ``x [B, P, C]`` in place: an Euler step along the guided velocity.

        ``velocity [2 B, P, C]``: with the condition, then without; ``cfg, step_sizes [B]``.
        """

    def noise(self, device: torch.device) -> Draw:
        """Return a function that draws noise on a device."""

    def snake(self, x: Tensor, alpha: Tensor, inverse: Tensor) -> Tensor:
        """Return ``x + sin²(a x) / a`` of ``x [B, C, T]``.

        ``alpha, inverse [1, C, 1]``: a and 1 / a.
        """

    def snake_conv(
        self, x: Tensor, conv: DepthwiseConv, past: Tensor, slots: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """Return the convolution of ``x [B, T, C]`` with its activations, in ``dtype``.

        ``past [S, C, (K - 1) dilation]``: the last inputs of the convolution, in float32; those of
        the rows' ``slots [B]`` are read and replaced.
        """

    def snake_pairs(self, x: Tensor, snake: ChannelSnake, past: Tensor, slots: Tensor) -> Tensor:
        """Return each activation of ``x [B, T, C]`` beside the one before it: ``[B, T, 2 C]``.

        ``past [S, C, 1]``: the last activation of each slot, read and replaced.
        """

    def snake_output(
        self, x: Tensor, snake: ChannelSnake, taps: Tensor, bias: Tensor, past: Tensor,
        slots: Tensor,
    ) -> Tensor:  # fmt: skip
        """Return samples ``[B, T]``: tanh of a convolution of activations of ``x [B, T, C]``.

        ``taps [K, C]``, ``bias [1]``; ``past [S, C, K - 1]`` as in ``snake_conv``.
        """


class SelectedOps:
    """Operators that can be exchanged while the parts of a model hold this object as theirs."""

    def __init__(self, selected: Ops) -> None:
        self.selected = selected

    def __getattr__(self, name: str) -> Any:
        return getattr(self.selected, name)


class TorchOps:
    """PyTorch's operators."""

    gathers_kv = True
    fuses_vae = False
    int8: Int8Ops = TorchInt8Ops()

    def norm(self, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """Return the RMSNorm."""
        return F.rms_norm(x, weight.shape, weight, epsilon)  # [..., W]

    def add_norm(
        self, x: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """Return the sum and its RMSNorm."""
        x = x + delta  # [B, T, W]
        return x, self.norm(x, weight, epsilon)  # [B, T, W] each

    def swiglu(self, gate_up: Tensor) -> Tensor:
        """Return the gated product."""
        gate, up = gate_up.chunk(2, dim=-1)  # [..., I] each
        return F.silu(gate) * up  # [..., I]

    def attention(self, qkv: Tensor, heads: HeadLayout, rope: Rope | None, keep: slice) -> Tensor:
        """Rotate all keys and queries, and compute the queries of ``keep``."""
        tables = rope.at(slice(qkv.shape[1])) if rope else None  # [T, 1, D] twice
        q, k, v = split_heads(qkv, heads, tables)
        return grouped_attention(
            q[:, keep], k.transpose(1, 2), v.transpose(1, 2), None
        )  # [B, T', H D]

    def decode_attention(
        self,
        qkv: Tensor,
        heads: HeadLayout,
        rope: Rope | None,
        k: Tensor,
        v: Tensor,
        batch: TokenBatch,
    ) -> Tensor:
        """Store keys and values, then gather those of each row's slot."""
        tables = rope.at(batch.positions[:, None]) if rope else None  # [B, 1, 1, D] twice
        q, key, value = split_heads(
            qkv.unsqueeze(1), heads, tables
        )  # [B, 1, H, D], [B, 1, KV, D]x2
        k[batch.slots, :, batch.positions] = key[:, 0]  # [B, KV, D]
        v[batch.slots, :, batch.positions] = value[:, 0]  # [B, KV, D]
        visible = (batch.index, slice(None), slice(batch.kv_len))
        return grouped_attention(q, k[visible], v[visible], batch.mask)[:, 0]  # [B, H D]

    def build_dit_input(
        self,
        condition: Tensor,
        time_embed: Tensor,
        past: Tensor,
        frames: Tensor,
        *,
        separate_time: bool,
    ) -> Tensor:
        """Concatenate copies."""
        both = torch.cat((condition, torch.zeros_like(condition)))  # [2 B, M, W]
        time = time_embed[:, None].repeat(2, 1, 1)  # [2 B, 1, W]
        prefix = torch.cat((both, time), dim=1) if separate_time else both + time  # [2 B, M', W]
        frames = torch.cat((past, frames), dim=1)  # [B, 2 P, W]
        return torch.cat((prefix, frames.repeat(2, 1, 1)), dim=1)  # [2 B, M' + 2 P, W]

    def cfg_euler_step(self, x: Tensor, velocity: Tensor, cfg: Tensor, step_sizes: Tensor) -> None:
        """Scale the unconditional velocity by its projection (CFG-Zero*), guide, and step."""
        conditional, unconditional = velocity.float().chunk(2)  # [B, P, C] each
        dot = (conditional * unconditional).sum(dim=(1, 2), keepdim=True)  # [B, 1, 1]
        norm = unconditional.square().sum(dim=(1, 2), keepdim=True) + 1e-8  # [B, 1, 1]
        unconditional = unconditional * (dot / norm)  # [B, P, C]
        guided = unconditional + cfg[:, None, None] * (conditional - unconditional)  # [B, P, C]
        x -= step_sizes[:, None, None] * guided  # [B, P, C]

    def noise(self, device: torch.device) -> Draw:
        """Return Philox in 64-bit integers."""
        return Noise(device)

    def snake(self, x: Tensor, alpha: Tensor, inverse: Tensor) -> Tensor:
        """Return the activation."""
        wave = (x * alpha).sin_().square_()  # [B, C, T]
        return torch.addcmul(x, wave, inverse)  # [B, C, T]

    def snake_conv(
        self, x: Tensor, conv: DepthwiseConv, past: Tensor, slots: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """Activate, prepend the past, convolve and activate, all in float32."""
        z = x.transpose(1, 2).float()  # [B, C, T]
        z = self._activate(conv.before, z) if conv.before else z  # [B, C, T]
        z = extend(z, past, slots)  # [B, C, past + T]
        weight = conv.taps.T[:, None]  # [C, 1, K]
        z = F.conv1d(z, weight, conv.bias, dilation=conv.dilation, groups=len(weight))  # [B, C, T]
        z = self._activate(conv.after, z) if conv.after else z  # [B, C, T]
        return z.transpose(1, 2).to(dtype).contiguous()  # [B, T, C]

    def snake_pairs(self, x: Tensor, snake: ChannelSnake, past: Tensor, slots: Tensor) -> Tensor:
        """Activate in float32, prepend the past, concatenate."""
        z = extend(self._activate(snake, x.transpose(1, 2)), past, slots).transpose(
            1, 2
        )  # [B, 1 + T, C]
        return torch.cat((z[:, 1:], z[:, :-1]), dim=-1).to(x.dtype)  # [B, T, 2 C]

    def snake_output(
        self, x: Tensor, snake: ChannelSnake, taps: Tensor, bias: Tensor, past: Tensor,
        slots: Tensor,
    ) -> Tensor:  # fmt: skip
        """Activate, prepend the past, convolve, all in float32."""
        z = extend(self._activate(snake, x.transpose(1, 2)), past, slots)  # [B, C, past + T]
        return torch.tanh(F.conv1d(z, taps.T[None], bias)[:, 0])  # [B, T]

    def _activate(self, snake: ChannelSnake, x: Tensor) -> Tensor:
        """``x [B, C, T]`` to ``[B, C, T]``, in float32."""
        scaled = x.float() if snake.scale is None else x.float() * snake.scale[:, None]
        shifted = scaled + snake.offset[:, None]  # [B, C, T]
        return self.snake(shifted, snake.alpha[None, :, None], snake.inverse[None, :, None])


def split_heads(
    qkv: Tensor, heads: HeadLayout, tables: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries ``[B, T, H, D]``, keys and values ``[B, T, KV, D]`` of a ``qkv [B, T, ...]``.

    ``tables``: cosines and sines ``[B or 1, T, 1, D]`` that rotate queries and keys.
    """
    num_heads, num_kv_heads = heads.num_heads, heads.num_kv_heads
    y = qkv.view(*qkv.shape[:2], num_heads + 2 * num_kv_heads, heads.head_dim)
    qk, v = y[:, :, :-num_kv_heads], y[:, :, -num_kv_heads:]  # [B, T, H + KV, D], [B, T, KV, D]
    if tables:
        qk = rotate(qk, *tables)  # [B, T, H + KV, D]
    return qk[:, :, :num_heads], qk[:, :, num_heads:], v


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate heads ``x [B, T, H, D]`` to their positions; cos and sin ``[B or 1, T, 1, D]``."""
    wide = x.float()  # [B, T, H, D]
    swapped = wide.roll(x.shape[-1] // 2, dims=-1)  # [B, T, H, D]: (x2, x1)
    return torch.addcmul(wide * cos, swapped, sin).to(x.dtype)  # [B, T, H, D]


def grouped_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Return grouped-query attention of ``q [B, T, H, D]`` over ``k, v [B, KV, L, D]``.

    ``mask``: ``[B or 1, 1, T, L]`` or ``[T, L]``, true where a token may attend.  The G queries of
    a KV head become rows of one product, so that no key is repeated.  Returns ``[B, T, H D]``.
    """
    batch, tokens, num_heads, head_dim = q.shape
    num_kv_heads = k.shape[1]
    group = num_heads // num_kv_heads
    q = q.transpose(1, 2).reshape(batch, num_kv_heads, group * tokens, head_dim)  # [B, KV, G T, D]
    if mask is not None and tokens > 1:
        mask = mask.repeat(group, 1)  # [G T, L]
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # [B, KV, G T, D]
    return y.reshape(batch, num_heads, tokens, head_dim).transpose(1, 2).flatten(2)  # [B, T, H D]
