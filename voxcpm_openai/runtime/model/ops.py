"""What the model calculates beside its products and convolutions: a GPU may do it otherwise.

    TorchOps     PyTorch's operators, one after the other: what the others are held to
    TritonOps    one kernel each, or two (``runtime/kernels``): a GPU, where it is asked for

They are chosen when a model is loaded, and passed on with its weights.  Shapes: B rows, T tokens of
a row, S slots, N positions of a slot, h heads of width D, KV heads of keys and values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.model.noise import Noise

if TYPE_CHECKING:
    from voxcpm_openai.runtime.model.state import Rows

Draw = Callable[[Tensor, Tensor, int, int], Tensor]
"""Makes noise ``[B, C, P]`` of seeds ``[B]``, numbers of patches ``[B]``, C and P, as ``Noise``."""


@dataclass(frozen=True)
class Heads:
    """How a row ``qkv [(h + 2 KV) D]`` is cut: queries, keys, values."""

    own: int  # h
    shared: int  # KV, by which h can be divided
    width: int  # D


@dataclass(frozen=True)
class Rope:
    """Cosines and sines of each position, in float32 whatever the dtype of the model.

    Rotation takes x1, x2 (halves of a head) to x1 cos - x2 sin, x2 cos + x1 sin.
    """

    cos: Tensor  # [N, D]
    sin: Tensor  # [N, D], with the sign of the swap

    def at(self, positions: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, ``[N', 1, D]`` each: the 1 stands for the heads."""
        return self.cos[positions].unsqueeze(-2), self.sin[positions].unsqueeze(-2)


class Ops(Protocol):
    """The operators.  They tell the host nothing and can be captured in a CUDA graph."""

    copies_the_past: bool
    """Whether ``see_past`` copies a row's past up to ``Rows.span``: a short span is the cheaper."""

    def norm(self, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """RMSNorm of ``x [..., W]``, times ``weight [W]``."""

    def add_norm(
        self, x: Tensor, more: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """``x + more``, ``[B, T, W]`` each, and the norm of that."""

    def gated(self, gate_up: Tensor) -> Tensor:
        """``silu(gate) * up`` of ``gate_up [..., 2 I]``: ``[..., I]``."""

    def see_all(self, qkv: Tensor, heads: Heads, rope: Rope | None, keep: slice) -> Tensor:
        """Tokens ``qkv [B, T, (h + 2 KV) D]`` that all see each other: ``[B, T', h D]``.

        They stand at the positions from 0 on.  ``keep``: those of them that are wanted.
        """

    def see_past(
        self, qkv: Tensor, heads: Heads, rope: Rope | None, k: Tensor, v: Tensor, rows: Rows
    ) -> Tensor:
        """A token of each row, ``qkv [B, (h + 2 KV) D]``, that sees its slot up to itself.

        Its keys and values are kept in ``k, v [S, KV, N, D]`` first.  Rows that have a slot in
        common stand at different positions of it, and see each other so.  Returns ``[B, h D]``.
        """

    def line_up(
        self, condition: Tensor, time: Tensor, past: Tensor, frames: Tensor, *, separate: bool
    ) -> Tensor:
        """What LocDiT sees: ``[2 B, L, W]``, the rows with their condition, then with none.

        ``condition [B, M, W]``, ``time [B, W]``, then ``past, frames [B, P, W]``.  ``separate``:
        the time is a token of its own behind the condition, and is not added to its only one.
        """

    def guide(self, x: Tensor, velocity: Tensor, cfg: Tensor, strides: Tensor) -> None:
        """Go on from ``x [B, P, C]``, in place: Euler's method along the guided velocity.

        ``velocity [2 B, P, C]``: with the condition, and without; ``cfg, strides [B]``.
        """

    def noise(self, device: torch.device) -> Draw:
        """Return what draws noise on a device."""

    def snake(self, x: Tensor, alpha: Tensor, inverse: Tensor) -> Tensor:
        """``x + sin²(a x) / a`` of ``x [B, C, T]``; ``alpha, inverse [1, C, 1]``: a and 1 / a."""


class TorchOps:
    """PyTorch's operators."""

    copies_the_past = True

    def norm(self, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """RMSNorm."""
        return F.rms_norm(x, weight.shape, weight, epsilon)  # [..., W]

    def add_norm(
        self, x: Tensor, more: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """A sum, and RMSNorm."""
        x = x + more  # [B, T, W]
        return x, self.norm(x, weight, epsilon)  # [B, T, W] each

    def gated(self, gate_up: Tensor) -> Tensor:
        """SiLU."""
        gate, up = gate_up.chunk(2, dim=-1)  # [..., I] each
        return F.silu(gate) * up  # [..., I]

    def see_all(self, qkv: Tensor, heads: Heads, rope: Rope | None, keep: slice) -> Tensor:
        """All keys are rotated, and the queries that are wanted."""
        at = rope.at(slice(qkv.shape[1])) if rope else None  # [T, 1, D] twice
        q, k, v = split(qkv, heads, at)
        return attend(q[:, keep], k.transpose(1, 2), v.transpose(1, 2), None)  # [B, T', h D]

    def see_past(
        self, qkv: Tensor, heads: Heads, rope: Rope | None, k: Tensor, v: Tensor, rows: Rows
    ) -> Tensor:
        """What a row sees is gathered first."""
        at = rope.at(rows.positions[:, None]) if rope else None  # [B, 1, 1, D] twice
        q, key, value = split(qkv.unsqueeze(1), heads, at)  # [B, 1, h, D], [B, 1, KV, D] twice
        k[rows.slots, :, rows.positions] = key[:, 0]  # [B, KV, D]
        v[rows.slots, :, rows.positions] = value[:, 0]  # [B, KV, D]
        seen = (rows.index, slice(None), slice(rows.span))
        return attend(q, k[seen], v[seen], rows.mask)[:, 0]  # [B, h D]

    def line_up(
        self, condition: Tensor, time: Tensor, past: Tensor, frames: Tensor, *, separate: bool
    ) -> Tensor:
        """Copies."""
        both = torch.cat((condition, torch.zeros_like(condition)))  # [2 B, M, W]
        time = time[:, None].repeat(2, 1, 1)  # [2 B, 1, W]
        lead = torch.cat((both, time), dim=1) if separate else both + time  # [2 B, M', W]
        frames = torch.cat((past, frames), dim=1)  # [B, 2 P, W]
        return torch.cat((lead, frames.repeat(2, 1, 1)), dim=1)  # [2 B, M' + 2 P, W]

    def guide(self, x: Tensor, velocity: Tensor, cfg: Tensor, strides: Tensor) -> None:
        """CFG-Zero*: what is unconditional is first scaled to lie as near as it can."""
        with_it, without = velocity.float().chunk(2)  # [B, P, C] each
        dot = (with_it * without).sum(dim=(1, 2), keepdim=True)  # [B, 1, 1]
        norm = without.square().sum(dim=(1, 2), keepdim=True) + 1e-8  # [B, 1, 1]
        without = without * (dot / norm)  # [B, P, C]
        guided = without + cfg[:, None, None] * (with_it - without)  # [B, P, C]
        x -= strides[:, None, None] * guided  # [B, P, C]

    def noise(self, device: torch.device) -> Draw:
        """Philox in whole numbers of 64 bits."""
        return Noise(device)

    def snake(self, x: Tensor, alpha: Tensor, inverse: Tensor) -> Tensor:
        """A sine and its square."""
        wave = (x * alpha).sin_().square_()  # [B, C, T]
        return torch.addcmul(x, wave, inverse)  # [B, C, T]


def split(
    qkv: Tensor, heads: Heads, rope: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries ``[B, T, h, D]``, keys and values ``[B, T, KV, D]`` of ``[B, T, (h + 2 KV) D]``.

    ``rope``: cosines and sines ``[B or 1, T, 1, D]`` that queries and keys are rotated by.
    """
    own, shared = heads.own, heads.shared
    y = qkv.view(*qkv.shape[:2], own + 2 * shared, heads.width)  # [B, T, h + 2 KV, D]
    qk, v = y[:, :, :-shared], y[:, :, -shared:]  # [B, T, h + KV, D], [B, T, KV, D]
    if rope:
        qk = rotate(qk, *rope)  # [B, T, h + KV, D]
    return qk[:, :, :own], qk[:, :, own:], v


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn heads ``x [B, T, h, D]`` to their positions; cos and sin ``[B or 1, T, 1, D]``."""
    wide = x.float()  # [B, T, h, D]
    swapped = wide.roll(x.shape[-1] // 2, dims=-1)  # [B, T, h, D]: (x2, x1)
    return torch.addcmul(wide * cos, swapped, sin).to(x.dtype)  # [B, T, h, D]


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
