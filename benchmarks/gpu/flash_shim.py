"""A stand-in for flash-attn, which nano-vllm-voxcpm imports, where that cannot be built.

It has the three calls that the package makes, with flash-attn's meaning: heads that share keys and
values, causal masks aligned at the end of both sequences, zeros for a row without keys.
``TorchFlash`` runs the flash-attention kernels inside torch without copying a cache; ``TorchPlain``
is scaled_dot_product_attention, correct everywhere and slower.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

TOLERANCE = 2e-2  # how far the two may be apart in bfloat16, absolute and relative
PAGE = 256  # positions of a block of the cache: flash-attn needs multiples of this


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
        self, q: Tensor, k: Tensor, v: Tensor, starts: tuple[Tensor, Tensor],
        longest: tuple[int, int],  # noqa: ARG002  (the kernels need it)
        scale: float | None, causal: bool, table: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """Attend within concatenated sequences.

        ``q`` is ``[S, H, D]``; ``k`` and ``v`` are ``[T, G, D]``, or with a ``table`` a cache as in
        ``paged``.  ``starts``: where the sequences of queries and of keys begin, and the last one
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

        ``q`` is ``[B, 1, H, D]``; ``k`` and ``v`` are ``[pages, page, G, D]``; ``lengths [B]``: the
        positions of a row that count; ``table [B, M]``: their pages.
        """
        keys, values = (_pages(cache, table) for cache in (k, v))  # [B, M * page, G, D]
        place = torch.arange(keys.shape[1], device=q.device)  # [M * page]
        counts = place < lengths[:, None]  # [B, M * page]
        # What is behind the length may be nan, which a mask does not remove.
        keys, values = (half.where(counts[..., None, None], 0.0) for half in (keys, values))
        # A row without keys sees the zero in its first place, and is zero, not nan.
        mask = (counts | (place == 0))[:, None, None]  # [B, 1, 1, M * page]
        return _attend(q, keys, values, mask, scale)  # [B, 1, H, D]


class TorchFlash(TorchPlain):
    """Torch's flash-attention kernels; ``TorchPlain`` where they would need a copy."""

    name = "torch's flash kernels"

    def dense(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, causal: bool) -> Tensor:
        return _kernel(q, k, v, (None, None), (q.shape[1], k.shape[1]), scale, causal)

    def packed(
        self, q: Tensor, k: Tensor, v: Tensor, starts: tuple[Tensor, Tensor],
        longest: tuple[int, int], scale: float | None, causal: bool, table: Tensor | None,
    ) -> Tensor:  # fmt: skip
        if table is not None:
            return super().packed(q, k, v, starts, longest, scale, causal, table)
        return _kernel(q, k, v, starts, longest, scale, causal)

    def paged(
        self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, table: Tensor, scale: float | None
    ) -> Tensor:
        """Read rows of one page in place: as sequences that begin at multiples of its size."""
        if table.shape[1] != 1:
            return super().paged(q, k, v, lengths, table, scale)
        page = k.shape[1]
        begins = table[:, 0].clamp(min=0) * page  # [B]
        keys = torch.cat((begins, begins[-1:])).int()  # [B + 1]; the last is not read
        queries = torch.arange(len(q) + 1, dtype=torch.int32, device=q.device)  # [B + 1]
        flat, starts, used = (k.flatten(0, 1), v.flatten(0, 1)), (queries, keys), lengths.int()
        return _kernel(q[:, 0], *flat, starts, (1, page), scale, causal=False, used=used)[:, None]


def choose(device: torch.device) -> TorchPlain:
    flash = TorchFlash()
    return flash if device.type == "cuda" and agrees(flash, device) else TorchPlain()


def agrees(candidate: TorchPlain, device: torch.device) -> bool:
    """Return whether the results are those of ``TorchPlain``, for the shapes of both models."""
    try:
        return all(_same(candidate, device, head) for head in (64, 128))
    except (RuntimeError, TypeError) as error:  # shapes that the kernel does not take
        print(f"{candidate.name}: {error}", file=sys.stderr)
        return False


def install(attention: TorchPlain) -> None:
    def flash_attn_func(
        q: Tensor, k: Tensor, v: Tensor, *, softmax_scale: float | None = None, causal: bool = False
    ) -> Tensor:
        return attention.dense(q, k, v, softmax_scale, causal)

    def flash_attn_varlen_func(
        q: Tensor, k: Tensor, v: Tensor, *, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor,
        max_seqlen_q: int, max_seqlen_k: int, softmax_scale: float | None = None,
        causal: bool = False, block_table: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        starts, longest = (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k)
        return attention.packed(q, k, v, starts, longest, softmax_scale, causal, block_table)

    def flash_attn_with_kvcache(
        q: Tensor, k_cache: Tensor, v_cache: Tensor, *, cache_seqlens: Tensor, block_table: Tensor,
        softmax_scale: float | None = None,
        causal: bool = False,  # noqa: ARG001  (one query sees all keys, either way)
    ) -> Tensor:  # fmt: skip
        if q.shape[1] != 1:
            raise ValueError(f"{q.shape[1]} queries a row; this stand-in takes one.")
        return attention.paged(q, k_cache, v_cache, cache_seqlens, block_table, softmax_scale)

    module = stand_in("flash_attn")
    for function in (flash_attn_func, flash_attn_varlen_func, flash_attn_with_kvcache):
        setattr(module, function.__name__, function)


def stand_in(name: str) -> ModuleType:
    module = module_from_spec(ModuleSpec(name, None))
    sys.modules[name] = module
    return module


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # [B, H, S, D]
    result = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)
    return result.transpose(1, 2).contiguous()  # [B, S, H, D]


def _pages(cache: Tensor, table: Tensor) -> Tensor:
    """Gather the pages ``[..., M]`` of a cache: ``[..., M * page, G, D]``.  -1 is no page."""
    return cache[table.clamp(min=0).long()].flatten(-4, -3)


def _kernel(
    q: Tensor, k: Tensor, v: Tensor, starts: tuple[Tensor | None, Tensor | None],
    longest: tuple[int, int], scale: float | None, causal: bool, used: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Run torch's own flash-attention, in flash-attn's layout.

    ``used [B]``: how many of a sequence's keys count; the ends in ``starts`` then do not.
    """
    result: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, *starts, *longest, 0.0, causal, False, scale=scale, seqused_k=used
    )[0]
    return result


def _same(candidate: TorchPlain, device: torch.device, head: int) -> bool:
    plain, scale = TorchPlain(), head**-0.5
    generator = torch.Generator(device).manual_seed(head)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, head, generator=generator, device=device).bfloat16()

    def ints(*values: Any) -> Tensor:
        return torch.tensor(values, dtype=torch.int32, device=device)

    caches = draw(5, PAGE, 2), draw(5, PAGE, 2)
    for cache in caches:  # what is behind a row's length must not be read
        for page, length in ((3, 93), (0, 1), (4, 0), (2, 0)):
            cache[page, length:] = torch.nan
    starts, lengths, table = ints(0, 5, 66, 67), ints(93, 1, 0, PAGE), ints([3], [0], [4], [1])
    packed = draw(67, 16), draw(67, 2), draw(67, 2), (starts, starts), (61, 61), scale, True, None
    calls: dict[str, tuple[Any, ...]] = {
        "dense": (draw(4, 11, 16), draw(4, 11, 2), draw(4, 11, 2), scale, False),
        "packed": packed,
        "paged": (draw(4, 1, 16), *caches, lengths, table, scale),
    }
    return all(
        torch.allclose(
            getattr(candidate, call)(*given), getattr(plain, call)(*given),
            rtol=TOLERANCE, atol=TOLERANCE,
        )
        for call, given in calls.items()
    )  # fmt: skip
