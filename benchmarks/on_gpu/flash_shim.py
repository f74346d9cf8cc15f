"""A stand-in for flash-attn, which nano-vllm-voxcpm imports, where that cannot be built.

It gives the three calls that are made, with flash-attn's meaning: heads that share keys and values,
causal masks aligned at the end of both sequences, nothing but zeros for a row without keys.
``TorchFlash`` runs the flash-attention kernels inside torch, which are flash-attn's own of an
earlier version, without copying a cache; ``TorchPlain`` is scaled_dot_product_attention, correct
everywhere and slower.  Both can be captured in CUDA graphs, except for ``packed`` in the plain way.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

TOLERANCE = 2e-2
"""How far the two ways may be apart in bfloat16, of 1 and of the value."""
PAGE = 256
"""Positions of a block of the cache: flash-attn wants multiples of this."""


class TorchPlain:
    """``q`` has H heads of D numbers; ``k`` and ``v`` have G: H / G heads of ``q`` share one."""

    name = "torch SDPA"

    def dense(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, causal: bool) -> Tensor:
        """Attend within each row: ``q`` is ``[B, S, H, D]``, ``k`` and ``v`` ``[B, T, G, D]``."""
        mask = None
        if causal:
            queries, keys = q.shape[1], k.shape[1]
            every = torch.ones(queries, keys, dtype=torch.bool, device=q.device)  # [S, T]
            mask = every.tril(keys - queries)
        return _attend(q, k, v, mask, scale)

    def packed(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        starts: tuple[Tensor, Tensor],
        longest: tuple[int, int],  # noqa: ARG002  (the kernels ask for it)
        scale: float | None,
        causal: bool,
        table: Tensor | None,
    ) -> Tensor:
        """Attend within sequences that lie one behind the other.

        ``q`` is ``[S, H, D]``; ``k`` and ``v`` are ``[T, G, D]``, or with a ``table`` a cache as in
        ``paged``.  ``starts``: where each sequence of queries and keys begins, and the last one
        ends, ``[B + 1]``; ``longest``: the most queries and keys of one.
        """
        rows = []
        bounds = [ends.tolist() for ends in starts]
        for row in range(len(bounds[0]) - 1):
            (begin, end), (first, last) = (bound[row : row + 2] for bound in bounds)
            if table is None:
                keys, values = k[first:last], v[first:last]
            else:
                keys, values = (_pages(cache, table[row])[: last - first] for cache in (k, v))
            rows.append(self.dense(q[None, begin:end], keys[None], values[None], scale, causal)[0])
        return torch.cat(rows)  # [S, H, D]

    def paged(
        self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, table: Tensor, scale: float | None
    ) -> Tensor:
        """Let one new query a row attend to its cache.

        ``q`` is ``[B, 1, H, D]``; ``k`` and ``v`` are ``[pages, page, G, D]``; ``lengths [B]`` says
        how many positions of a row count, ``table [B, M]`` in which pages they are.
        """
        keys, values = (_pages(cache, table) for cache in (k, v))  # [B, M * page, G, D]
        place = torch.arange(keys.shape[1], device=q.device)  # [M * page]
        counts = place < lengths[:, None]  # [B, M * page]
        # Behind its length lies anything, which no mask can outweigh: it may be nan.
        keys, values = (half.where(counts[..., None, None], 0.0) for half in (keys, values))
        # A row without keys sees the zero in its first place, and is zero, not nan.
        mask = (counts | (place == 0))[:, None, None]  # [B, 1, 1, M * page]
        return _attend(q, keys, values, mask, scale)  # [B, 1, H, D]


class TorchFlash(TorchPlain):
    """Torch's flash-attention kernels; the plain way where these cannot do without a copy."""

    name = "torch's flash kernels"

    def dense(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, causal: bool) -> Tensor:
        """See ``TorchPlain``."""
        return _kernel(q, k, v, (None, None), (q.shape[1], k.shape[1]), scale, causal)

    def packed(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        starts: tuple[Tensor, Tensor],
        longest: tuple[int, int],
        scale: float | None,
        causal: bool,
        table: Tensor | None,
    ) -> Tensor:
        """See ``TorchPlain``."""
        if table is not None:
            return super().packed(q, k, v, starts, longest, scale, causal, table)
        return _kernel(q, k, v, starts, longest, scale, causal)

    def paged(
        self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, table: Tensor, scale: float | None
    ) -> Tensor:
        """See ``TorchPlain``.  Rows of one page are read where they lie: a page is then a sequence
        that begins at a multiple of its size, of which ``lengths`` positions are used.
        """
        if table.shape[1] != 1:
            return super().paged(q, k, v, lengths, table, scale)
        rows, page = len(q), k.shape[1]
        begins = table[:, 0].clamp(min=0) * page  # [B]
        keys = torch.cat((begins, begins[-1:])).int()  # [B + 1]; the last is not looked at
        queries = torch.arange(rows + 1, dtype=torch.int32, device=q.device)  # [B + 1]
        result = _kernel(
            q[:, 0],
            k.flatten(0, 1),
            v.flatten(0, 1),
            (queries, keys),
            (1, page),
            scale,
            causal=False,
            used=lengths.int(),
        )  # [B, H, D]
        return result[:, None]  # [B, 1, H, D]


def choose(device: torch.device) -> TorchPlain:
    """Return the kernels where they are to be had and say the same as the plain way."""
    flash = TorchFlash()
    return flash if device.type == "cuda" and agrees(flash, device) else TorchPlain()


def agrees(candidate: TorchPlain, device: torch.device) -> bool:
    """Whether a way says what the plain one does, for the shapes of both models."""
    try:
        return all(_same(candidate, device, head) for head in (64, 128))
    except (RuntimeError, TypeError, NotImplementedError) as error:
        print(f"{candidate.name}: {error}", file=sys.stderr)
        return False


def install(attention: TorchPlain) -> None:
    """Let ``import flash_attn`` find this way."""
    module = stand_in("flash_attn")

    def flash_attn_func(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        softmax_scale: float | None = None,
        causal: bool = False,
    ) -> Tensor:
        return attention.dense(q, k, v, softmax_scale, causal)

    def flash_attn_varlen_func(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        cu_seqlens_q: Tensor,
        cu_seqlens_k: Tensor,
        max_seqlen_q: int,
        max_seqlen_k: int,
        softmax_scale: float | None = None,
        causal: bool = False,
        block_table: Tensor | None = None,
    ) -> Tensor:
        starts, longest = (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k)
        return attention.packed(q, k, v, starts, longest, softmax_scale, causal, block_table)

    def flash_attn_with_kvcache(
        q: Tensor,
        k_cache: Tensor,
        v_cache: Tensor,
        *,
        cache_seqlens: Tensor,
        block_table: Tensor,
        softmax_scale: float | None = None,
        causal: bool = False,  # noqa: ARG001  (one query sees all there is, either way)
    ) -> Tensor:
        if q.shape[1] != 1:
            raise ValueError(f"{q.shape[1]} queries a row; this stand-in knows one.")
        return attention.paged(q, k_cache, v_cache, cache_seqlens, block_table, softmax_scale)

    for function in (flash_attn_func, flash_attn_varlen_func, flash_attn_with_kvcache):
        setattr(module, function.__name__, function)


def stand_in(name: str) -> ModuleType:
    """Return an empty module that ``import`` finds from now on, and those who only look do too."""
    module = module_from_spec(ModuleSpec(name, None))
    sys.modules[name] = module
    return module


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Attend in flash-attn's layout, ``[B, S, H, D]``."""
    result = scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=mask,
        scale=scale,
        enable_gqa=True,
    )  # [B, H, S, D]
    return result.transpose(1, 2).contiguous()  # [B, S, H, D]


def _pages(cache: Tensor, table: Tensor) -> Tensor:
    """Gather the pages ``[..., M]`` of a cache: ``[..., M * page, G, D]``.  -1 is no page."""
    return cache[table.clamp(min=0).long()].flatten(-4, -3)


def _kernel(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    starts: tuple[Tensor | None, Tensor | None],
    longest: tuple[int, int],
    scale: float | None,
    causal: bool,
    used: Tensor | None = None,
) -> Tensor:
    """Run torch's own flash-attention, which takes flash-attn's layout.

    ``used [B]``: how many of a sequence's keys count; then of ``starts`` only the begins do.
    """
    result: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, *starts, *longest, 0.0, causal, False, scale=scale, seqused_k=used
    )[0]
    return result


def _same(candidate: TorchPlain, device: torch.device, head: int) -> bool:
    """Compare a way with the plain one, in bfloat16, for heads of so many numbers."""
    plain, scale = TorchPlain(), head**-0.5
    generator = torch.Generator(device).manual_seed(head)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, head, generator=generator, device=device).bfloat16()

    q, k, v = draw(4, 11, 16), draw(4, 11, 2), draw(4, 11, 2)
    starts = torch.tensor((0, 5, 66, 67), dtype=torch.int32, device=device)
    packed = draw(67, 16), draw(67, 2), draw(67, 2), (starts, starts), (61, 61), scale, True, None
    lengths = torch.tensor((93, 1, 0, PAGE), dtype=torch.int32, device=device)
    table = torch.tensor(((3,), (0,), (4,), (1,)), dtype=torch.int32, device=device)
    caches = draw(5, PAGE, 2), draw(5, PAGE, 2)
    for cache in caches:  # what lies behind a row's length is not to be looked at
        for page, length in ((3, 93), (0, 1), (4, 0), (2, 0)):
            cache[page, length:] = torch.nan
    paged = draw(4, 1, 16), *caches, lengths, table, scale
    pairs = [
        (candidate.dense(q, k, v, scale, False), plain.dense(q, k, v, scale, False)),
        (candidate.packed(*packed), plain.packed(*packed)),
        (candidate.paged(*paged), plain.paged(*paged)),
    ]
    return all(torch.allclose(ours, other, rtol=TOLERANCE, atol=TOLERANCE) for ours, other in pairs)
