"""A MiniCPM stack: RMSNorm, grouped-query attention with LongRoPE, gated MLP (arXiv:2404.06395).

The two language models, LocEnc and LocDiT are all of this kind and run through one function.  They
differ in what a token may look at, and whether keys and values are kept:

    encode    every token at every other, nothing is kept       LocEnc, LocDiT
    prefill   tokens of one row at those before them, all kept  a prompt
    step      one token of each row at its own past, kept       a patch
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.model.config import RopeConfig, StackConfig
from voxcpm_openai.runtime.model.linear import Linear, fused
from voxcpm_openai.runtime.model.state import Cache, Rows

# (layer, keys [B, T, KV, D], values) -> the keys and values to look at, [B, KV, L, D] each.
Remember = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Layer:
    """The weights of one layer; what is applied to the same input is one matrix."""

    attention_norm: Tensor  # [W]
    qkv: Linear  # W -> (heads + 2 kv_heads) D
    out: Linear  # heads D -> W
    mlp_norm: Tensor  # [W]
    gate_up: Linear  # W -> 2 inner
    down: Linear  # inner -> W


class Rope:
    """Cosines and sines of each position, in float32 whatever the dtype of the model."""

    def __init__(self, config: RopeConfig, head: int, positions: int, device: torch.device) -> None:
        inverse = 1.0 / config.theta ** (torch.arange(0, head, 2).float() / head)  # [D/2]
        place = torch.arange(positions, dtype=torch.float32)  # [N]
        angles = torch.outer(place, 1.0 / torch.tensor(config.factors)) * inverse  # [N, D/2]
        cos, sin = angles.cos() * config.scale, angles.sin() * config.scale  # [N, D/2] each
        # Rotation takes x1, x2 (halves of a head) to x1 cos - x2 sin, x2 cos + x1 sin.
        self.cos = torch.cat((cos, cos), dim=-1).to(device)  # [N, D]
        self.sin = torch.cat((-sin, sin), dim=-1).to(device)  # [N, D], with the sign of the swap

    def at(self, positions: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, ``[N', 1, D]`` each: the 1 stands for the heads."""
        return self.cos[positions].unsqueeze(-2), self.sin[positions].unsqueeze(-2)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn heads ``x [B, T, h, D]`` to their positions; cos and sin ``[B or 1, T, 1, D]``."""
    wide = x.float()  # [B, T, h, D]
    swapped = wide.roll(x.shape[-1] // 2, dims=-1)  # [B, T, h, D]: (x2, x1)
    return torch.addcmul(wide * cos, swapped, sin).to(x.dtype)  # [B, T, h, D]


class Stack:
    """The layers, the final norm and the positions of one stack.

    ``positions``: the longest sequence that it will see.
    """

    def __init__(self, weights: Weights, config: StackConfig, positions: int) -> None:
        self.config = config
        self.layers = [_layer(weights.under(f"layers.{i}"), config) for i in range(config.layers)]
        self.norm = weights.tensor("norm.weight", config.width)  # [W]
        self.rope = (
            Rope(config.rope, config.head, positions, weights.device) if config.rope else None
        )

    def encode(self, x: Tensor, keep: slice) -> Tensor:
        """Let all tokens of ``x [B, T, W]`` see each other; return those of ``keep``, normed."""
        rope = self.rope.at(slice(x.shape[1])) if self.rope else None  # [T, 1, D] twice

        def remember(_: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            return k.transpose(1, 2), v.transpose(1, 2)  # [B, KV, T, D] each

        return self._run(x, rope, None, remember, keep)  # [B, T', W]

    def prefill(self, x: Tensor, cache: Cache, slot: int, start: int) -> Tensor:
        """Run ``x [T, W]`` at positions ``start`` and on of a slot that holds those before."""
        end = start + x.shape[0]
        rope = self.rope.at(slice(start, end)) if self.rope else None  # [T, 1, D] twice
        places = torch.arange(end, device=x.device)  # [L]
        mask = places <= places[start:, None]  # [T, L]: a token sees itself and those before

        def remember(layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            cache.k[layer, slot, :, start:end] = k[0].transpose(0, 1)  # [KV, T, D]
            cache.v[layer, slot, :, start:end] = v[0].transpose(0, 1)  # [KV, T, D]
            return (
                cache.k[layer, slot, :, :end].unsqueeze(0),  # [1, KV, L, D]
                cache.v[layer, slot, :, :end].unsqueeze(0),  # [1, KV, L, D]
            )

        return self._run(x.unsqueeze(0), rope, mask, remember)[0]  # [T, W]

    def step(self, x: Tensor, cache: Cache, rows: Rows) -> Tensor:
        """Run one token of each row, ``x [B, W]``, each at the position of its own slot."""
        rope = self.rope.at(rows.positions[:, None]) if self.rope else None  # [B, 1, 1, D] twice

        def remember(layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            cache.k[layer][rows.slots, :, rows.positions] = k[:, 0]  # [B, KV, D]
            cache.v[layer][rows.slots, :, rows.positions] = v[:, 0]  # [B, KV, D]
            return (
                cache.k[layer][rows.index, :, : rows.span],  # [B, KV, L, D]
                cache.v[layer][rows.index, :, : rows.span],  # [B, KV, L, D]
            )

        return self._run(x.unsqueeze(1), rope, rows.mask, remember)[:, 0]  # [B, W]

    def _run(
        self,
        x: Tensor,
        rope: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        remember: Remember,
        keep: slice = slice(None),
    ) -> Tensor:
        """All layers on ``x [B, T, W]``; the last one only for the tokens of ``keep``."""
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            q, k, v = self._qkv(layer, self._normed(x, layer.attention_norm), rope)
            k, v = remember(i, k, v)  # [B, KV, L, D] each
            if i == last:
                x, q = x[:, keep], q[:, keep]  # [B, T', W], [B, T', heads, D]
            x = x + layer.out(attend(q, k, v, mask))  # [B, T', W]
            gate, up = layer.gate_up(self._normed(x, layer.mlp_norm)).chunk(2, dim=-1)
            x = x + layer.down(F.silu(gate) * up)  # [B, T', W]
        return self._normed(x, self.norm)  # [B, T', W]

    def _qkv(
        self, layer: Layer, x: Tensor, rope: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries ``[B, T, heads, D]``, keys and values ``[B, T, KV, D]`` of ``x [B, T, W]``."""
        heads, shared = self.config.heads, self.config.kv_heads
        y = layer.qkv(x).view(*x.shape[:2], heads + 2 * shared, self.config.head)  # [B, T, h, D]
        qk, v = y[:, :, :-shared], y[:, :, -shared:]  # [B, T, heads + KV, D], [B, T, KV, D]
        if rope:
            qk = rotate(qk, *rope)  # [B, T, heads + KV, D]
        q, k = qk[:, :, :heads], qk[:, :, heads:]  # [B, T, heads, D], [B, T, KV, D]
        return q, k, v

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (self.config.width,), weight, self.config.epsilon)  # [B, T, W]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of ``q [B, T, heads, D]`` over ``k, v [B, KV, L, D]``: ``[B, T, heads D]``.

    ``mask``: ``[B or 1, 1, T, L]`` or ``[T, L]``, true where a token may look.  The queries that
    share a key stand one after the other as rows, so that no key is ever repeated.
    """
    batch, tokens, heads, width = q.shape
    shared = k.shape[1]
    group = heads // shared
    q = q.transpose(1, 2).reshape(batch, shared, group * tokens, width)  # [B, KV, G T, D]
    if mask is not None and tokens > 1:
        mask = mask.repeat(group, 1)  # [G T, L]
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # [B, KV, G T, D]
    return y.reshape(batch, heads, tokens, width).transpose(1, 2).flatten(2)  # [B, T, heads D]


def _layer(weights: Weights, config: StackConfig) -> Layer:
    width, inner = config.width, config.inner
    attention, mlp = weights.under("self_attn"), weights.under("mlp")
    own, shared = config.heads * config.head, config.kv_heads * config.head
    # (s W) x = s (W x): what is added to the residual is scaled once here, not at every step.
    scale = config.residual_scale
    return Layer(
        attention_norm=weights.tensor("input_layernorm.weight", width),
        qkv=fused(attention, {"q_proj": own, "k_proj": shared, "v_proj": shared}, width),
        out=fused(attention, {"o_proj": width}, own, scale=scale),
        mlp_norm=weights.tensor("post_attention_layernorm.weight", width),
        gate_up=fused(mlp, {"gate_proj": inner, "up_proj": inner}, width),
        down=fused(mlp, {"down_proj": width}, inner, scale=scale),
    )
