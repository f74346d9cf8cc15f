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

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.model.config import RopeConfig, StackConfig
from voxcpm_openai.runtime.model.linear import Linear, fused
from voxcpm_openai.runtime.model.ops import Heads, Rope, attend, split
from voxcpm_openai.runtime.model.state import Cache, Rows

# (layer, its qkv [.., (heads + 2 KV) D]) -> what attention makes of it, [.., heads D].
See = Callable[[int, Tensor], Tensor]
EVERY = slice(None)


@dataclass(frozen=True)
class Layer:
    """The weights of one layer; what is applied to the same input is one matrix."""

    attention_norm: Tensor  # [W]
    qkv: Linear  # W -> (heads + 2 kv_heads) D
    out: Linear  # heads D -> W
    mlp_norm: Tensor  # [W]
    gate_up: Linear  # W -> 2 inner
    down: Linear  # inner -> W


class Stack:
    """The layers, the final norm and the positions of one stack.

    ``positions``: the longest sequence that it will see.
    """

    def __init__(self, weights: Weights, config: StackConfig, positions: int) -> None:
        self.config = config
        self.ops = weights.ops
        self.heads = Heads(config.heads, config.kv_heads, config.head)
        self.layers = [_layer(weights.under(f"layers.{i}"), config) for i in range(config.layers)]
        self.norm = weights.tensor("norm.weight", config.width)  # [W]
        self.rope = (
            _rope(config.rope, config.head, positions, weights.device) if config.rope else None
        )

    def encode(self, x: Tensor, keep: slice) -> Tensor:
        """Let all tokens of ``x [B, T, W]`` see each other; return those of ``keep``, normed."""
        last = len(self.layers) - 1

        def see(layer: int, qkv: Tensor) -> Tensor:
            wanted = keep if layer == last else EVERY
            return self.ops.see_all(qkv, self.heads, self.rope, wanted)  # [B, T', heads D]

        return self._run(x, see, keep)  # [B, T', W]

    def prefill(self, x: Tensor, cache: Cache, slot: int, start: int) -> Tensor:
        """Run ``x [T, W]`` at positions ``start`` and on of a slot that holds those before."""
        end = start + x.shape[0]
        rope = self.rope.at(slice(start, end)) if self.rope else None  # [T, 1, D] twice
        places = torch.arange(end, device=x.device)  # [L]
        mask = places <= places[start:, None]  # [T, L]: a token sees itself and those before

        def see(layer: int, qkv: Tensor) -> Tensor:
            q, k, v = split(qkv, self.heads, rope)  # [1, T, heads, D], [1, T, KV, D] twice
            cache.k[layer, slot, :, start:end] = k[0].transpose(0, 1)  # [KV, T, D]
            cache.v[layer, slot, :, start:end] = v[0].transpose(0, 1)  # [KV, T, D]
            k = cache.k[layer, slot, :, :end].unsqueeze(0)  # [1, KV, L, D]
            v = cache.v[layer, slot, :, :end].unsqueeze(0)  # [1, KV, L, D]
            return attend(q, k, v, mask)  # [1, T, heads D]

        return self._run(x.unsqueeze(0), see)[0]  # [T, W]

    def step(self, x: Tensor, cache: Cache, rows: Rows) -> Tensor:
        """Run one token of each row, ``x [B, W]``, each at the position of its own slot."""

        def see(layer: int, qkv: Tensor) -> Tensor:
            k, v = cache.k[layer], cache.v[layer]  # [S, KV, N, D] each
            seen = self.ops.see_past(qkv[:, 0], self.heads, self.rope, k, v, rows)  # [B, heads D]
            return seen.unsqueeze(1)  # [B, 1, heads D]

        return self._run(x.unsqueeze(1), see)[:, 0]  # [B, W]

    def _run(self, x: Tensor, see: See, keep: slice = EVERY) -> Tensor:
        """All layers on ``x [B, T, W]``; the last one only for the tokens of ``keep``."""
        ops, epsilon, last = self.ops, self.config.epsilon, self.layers[-1]
        normed = ops.norm(x, self.layers[0].attention_norm, epsilon)  # [B, T, W]
        following = [layer.attention_norm for layer in self.layers[1:]]
        for i, (layer, norm) in enumerate(zip(self.layers, [*following, self.norm], strict=True)):
            seen = see(i, layer.qkv(normed))  # [B, T', heads D]
            if layer is last:
                x = x[:, keep]  # [B, T', W]
            x, normed = ops.add_norm(x, layer.out(seen), layer.mlp_norm, epsilon)  # [B, T', W] each
            inner = ops.gated(layer.gate_up(normed))  # [B, T', inner]
            x, normed = ops.add_norm(x, layer.down(inner), norm, epsilon)  # [B, T', W] each
        return normed


def _rope(config: RopeConfig, head: int, positions: int, device: torch.device) -> Rope:
    inverse = 1.0 / config.theta ** (torch.arange(0, head, 2).float() / head)  # [D/2]
    place = torch.arange(positions, dtype=torch.float32)  # [N]
    angles = torch.outer(place, 1.0 / torch.tensor(config.factors)) * inverse  # [N, D/2]
    cos, sin = angles.cos() * config.scale, angles.sin() * config.scale  # [N, D/2] each
    return Rope(
        cos=torch.cat((cos, cos), dim=-1).to(device),  # [N, D]
        sin=torch.cat((-sin, sin), dim=-1).to(device),  # [N, D]
    )


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
