"""A MiniCPM transformer: RMSNorm, grouped-query attention with LongRoPE, SwiGLU (arXiv:2404.06395).

The two language models, LocEnc and LocDiT are all of this kind.  They differ in what a token
attends to, and in whether keys and values are stored:

    encode    full attention, nothing stored             LocEnc, LocDiT
    prefill   causal, many tokens of one row, stored     a prompt
    step      one token of each row, stored              a patch
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from voxcpm_openai.runtime.loading.checkpoint import Weights
from voxcpm_openai.runtime.model.config import RopeConfig, TransformerConfig
from voxcpm_openai.runtime.model.linear import Linear, feed_forward, fused
from voxcpm_openai.runtime.model.ops import HeadLayout, Ops, Rope, grouped_attention, split_heads
from voxcpm_openai.runtime.model.state import KVCache, TokenBatch

# (layer index, its qkv [.., (H + 2 KV) D]) -> the output of attention [.., H D].
Attention = Callable[[int, Tensor], Tensor]
ALL = slice(None)


@dataclass(frozen=True)
class TransformerLayer:
    """The weights of one layer; projections of the same input are one matrix."""

    attention_norm: Tensor  # [W]
    qkv: Linear  # W -> (H + 2 KV) D
    out: Linear  # H D -> W
    mlp_norm: Tensor  # [W]
    gate_up: Linear  # W -> 2 I
    down: Linear  # I -> W


class Transformer:
    """The layers, the final norm and the rotary positions.

    ``max_positions``: the length of the longest sequence.
    """

    def __init__(
        self, weights: Weights, config: TransformerConfig, max_positions: int, ops: Ops
    ) -> None:
        self.config = config
        self.ops = ops
        self.heads = HeadLayout(config.num_heads, config.num_kv_heads, config.head_dim)
        self.layers = [
            _layer(weights.under(f"layers.{i}"), config, ops) for i in range(config.num_layers)
        ]
        self.norm = weights.tensor("norm.weight", config.hidden_size)  # [W]
        self.rope = (
            _rope(config.rope, config.head_dim, max_positions, weights.device)
            if config.rope
            else None
        )

    def encode(self, x: Tensor, keep: slice) -> Tensor:
        """Run ``x [B, T, W]`` with full attention; return the tokens of ``keep``, normed."""
        last = len(self.layers) - 1

        def attend(layer: int, qkv: Tensor) -> Tensor:
            wanted = keep if layer == last else ALL
            return self.ops.attention(qkv, self.heads, self.rope, wanted)  # [B, T', H D]

        return self._run(x, attend, keep)  # [B, T', W]

    def prefill(self, x: Tensor, cache: KVCache, slot: int, start: int) -> Tensor:
        """Run ``x [T, W]`` at the positions from ``start`` on of a slot; return ``[T, W]``."""
        end = start + x.shape[0]
        tables = self.rope.at(slice(start, end)) if self.rope else None  # [T, 1, D] twice
        positions = torch.arange(end, device=x.device)  # [L]
        mask = positions <= positions[start:, None]  # [T, L], causal

        def attend(layer: int, qkv: Tensor) -> Tensor:
            q, k, v = split_heads(qkv, self.heads, tables)  # [1, T, H, D], [1, T, KV, D] twice
            cache.k[layer, slot, :, start:end] = k[0].transpose(0, 1)  # [KV, T, D]
            cache.v[layer, slot, :, start:end] = v[0].transpose(0, 1)  # [KV, T, D]
            k = cache.k[layer, slot, :, :end].unsqueeze(0)  # [1, KV, L, D]
            v = cache.v[layer, slot, :, :end].unsqueeze(0)  # [1, KV, L, D]
            return grouped_attention(q, k, v, mask)  # [1, T, H D]

        return self._run(x.unsqueeze(0), attend)[0]  # [T, W]

    def step(self, x: Tensor, cache: KVCache, batch: TokenBatch) -> Tensor:
        """Run one token of each row, ``x [B, W]``, each at its position of its slot."""

        def attend(layer: int, qkv: Tensor) -> Tensor:
            k, v = cache.k[layer], cache.v[layer]  # [S, KV, N, D] each
            y = self.ops.decode_attention(qkv[:, 0], self.heads, self.rope, k, v, batch)  # [B, H D]
            return y.unsqueeze(1)  # [B, 1, H D]

        return self._run(x.unsqueeze(1), attend)[:, 0]  # [B, W]

    def _run(self, x: Tensor, attend: Attention, keep: slice = ALL) -> Tensor:
        """Run all layers on ``x [B, T, W]``; the last one for the tokens of ``keep`` only."""
        ops, epsilon, last = self.ops, self.config.rms_norm_eps, self.layers[-1]
        normed = ops.norm(x, self.layers[0].attention_norm, epsilon)  # [B, T, W]
        following = [layer.attention_norm for layer in self.layers[1:]]
        for i, (layer, norm) in enumerate(zip(self.layers, [*following, self.norm], strict=True)):
            attended = attend(i, layer.qkv(normed))  # [B, T', H D]
            if layer is last:
                x = x[:, keep]  # [B, T', W]
            x, normed = ops.add_norm(
                x, layer.out(attended), layer.mlp_norm, epsilon
            )  # [B, T', W] each
            y = feed_forward(ops, layer.gate_up, layer.down, normed)  # [B, T', W]
            x, normed = ops.add_norm(x, y, norm, epsilon)  # [B, T', W] each
        return normed


def _rope(config: RopeConfig, head_dim: int, max_positions: int, device: torch.device) -> Rope:
    inverse = 1.0 / config.theta ** (torch.arange(0, head_dim, 2).float() / head_dim)  # [D/2]
    positions = torch.arange(max_positions, dtype=torch.float32)  # [N]
    angles = torch.outer(positions, 1.0 / torch.tensor(config.factors)) * inverse  # [N, D/2]
    cos, sin = angles.cos() * config.scale, angles.sin() * config.scale  # [N, D/2] each
    return Rope(
        cos=torch.cat((cos, cos), dim=-1).to(device),  # [N, D]
        sin=torch.cat((-sin, sin), dim=-1).to(device),  # [N, D]
    )


def _layer(weights: Weights, config: TransformerConfig, ops: Ops) -> TransformerLayer:
    hidden, inner = config.hidden_size, config.intermediate_size
    attention, mlp = weights.under("self_attn"), weights.under("mlp")
    q, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    # (s W) x = s (W x): the residual scale is applied once here, not at every step.
    scale = config.residual_scale
    return TransformerLayer(
        attention_norm=weights.tensor("input_layernorm.weight", hidden),
        qkv=fused(attention, {"q_proj": q, "k_proj": kv, "v_proj": kv}, hidden, ops),
        out=fused(attention, {"o_proj": hidden}, q, ops, scale=scale),
        mlp_norm=weights.tensor("post_attention_layernorm.weight", hidden),
        gate_up=fused(mlp, {"gate_proj": inner, "up_proj": inner}, hidden, ops),
        down=fused(mlp, {"down_proj": hidden}, inner, ops, scale=scale),
    )
