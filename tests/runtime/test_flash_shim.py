"""The substitute for flash-attn, compared with a loop over single queries."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support import ROOT

SPEC = spec_from_file_location("flash_shim", ROOT / "benchmarks/gpu/flash_shim.py")
assert SPEC is not None
assert SPEC.loader is not None
flash_shim = module_from_spec(SPEC)
SPEC.loader.exec_module(flash_shim)
PAGE, TorchFlash, TorchPlain = flash_shim.PAGE, flash_shim.TorchFlash, flash_shim.TorchPlain

SCALE = 0.3
LENGTHS = (7, 1, 0, PAGE, PAGE + 9)


@pytest.fixture
def flash_attn(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))
    flash_shim.install(TorchPlain())
    return sys.modules["flash_attn"]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A CPU version of torch's flash kernel; returns the longest lengths of each call."""
    calls: list[tuple[int, int]] = []

    def call(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        starts_q: Tensor | None,
        starts_k: Tensor | None,
        longest_q: int,
        longest_k: int,
        dropout: float,
        causal: bool,
        mask: bool,
        *,
        scale: float,
        seqused_k: Tensor | None,
    ) -> tuple[Tensor]:
        assert (dropout, mask) == (0.0, False)
        calls.append((longest_q, longest_k))
        if starts_q is None or starts_k is None:
            rows = zip(q, k, v, strict=True)
            return (torch.stack([reference(*row, causal, scale) for row in rows]),)
        assert starts_q.dtype == starts_k.dtype == torch.int32
        out = torch.zeros_like(q)
        for row in range(len(starts_q) - 1):
            first, last = starts_q[row], starts_q[row + 1]
            begin, end = int(starts_k[row]), int(starts_k[row + 1])
            if seqused_k is not None:
                end = begin + int(seqused_k[row])
            assert last - first <= longest_q
            assert end - begin <= longest_k
            out[first:last] = reference(q[first:last], k[begin:end], v[begin:end], causal, scale)
        return (out,)

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", call)
    return calls


def reference(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> Tensor:
    """``q [S, H, D]``, ``k`` and ``v`` ``[T, G, D]``; the last query is at the last key."""
    out = torch.zeros_like(q)
    group = q.shape[1] // k.shape[1]
    for query in range(len(q)):
        visible = len(k) - len(q) + query + 1 if causal else len(k)
        for head in range(q.shape[1] if visible > 0 else 0):
            keys, values = k[:visible, head // group], v[:visible, head // group]
            weights = torch.softmax(keys.float() @ q[query, head].float() * scale, 0)
            out[query, head] = (weights @ values.float()).to(q.dtype)
    return out


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def cache_of(lengths: tuple[int, ...], pages: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return key and value caches, and a page table in random order."""
    table = torch.randperm(len(lengths) * pages, generator=torch.Generator().manual_seed(3))
    shape = (len(table), PAGE, 2, 8)
    return draw(*shape), -draw(*shape).flip(0), table.view(len(lengths), pages).int()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(11, 11), (3, 9)])
def test_rows_attend_within_themselves(
    flash_attn: Any, causal: bool, queries: int, keys: int
) -> None:
    q, k, v = draw(2, queries, 4, 8), draw(2, keys, 2, 8), draw(2, keys, 2, 8) * 2
    actual = flash_attn.flash_attn_func(q, k, v, softmax_scale=SCALE, causal=causal)
    expected = [reference(*row, causal, SCALE) for row in zip(q, k, v, strict=True)]
    torch.testing.assert_close(actual, torch.stack(expected))
    assert actual.is_contiguous()


def test_packed_sequences_do_not_attend_to_each_other(flash_attn: Any) -> None:
    q, k, v = draw(14, 4, 8), draw(20, 2, 8), draw(20, 2, 8) * 2
    starts_q, starts_k = torch.tensor([0, 5, 6, 14]), torch.tensor([0, 5, 12, 20])
    actual = flash_attn.flash_attn_varlen_func(
        q,
        k,
        v,
        cu_seqlens_q=starts_q,
        cu_seqlens_k=starts_k,
        max_seqlen_q=8,
        max_seqlen_k=8,
        softmax_scale=SCALE,
        causal=True,
        block_table=None,
    )
    parts = [(q[:5], 0, 5), (q[5:6], 5, 12), (q[6:], 12, 20)]
    expected = [reference(part, k[a:b], v[a:b], True, SCALE) for part, a, b in parts]
    torch.testing.assert_close(actual, torch.cat(expected))


def test_queries_attend_to_a_cached_prefix(flash_attn: Any) -> None:
    k, v, table = cache_of((300, 40), pages=2)
    q = draw(10, 4, 8)
    actual = flash_attn.flash_attn_varlen_func(
        q,
        k,
        v,
        cu_seqlens_q=torch.tensor([0, 4, 10]),
        cu_seqlens_k=torch.tensor([0, 300, 340]),
        max_seqlen_q=6,
        max_seqlen_k=300,
        softmax_scale=SCALE,
        causal=True,
        block_table=table,
    )
    expected = []
    for row, (part, length) in enumerate([(q[:4], 300), (q[4:], 40)]):
        keys, values = (half[table[row].long()].flatten(0, 1)[:length] for half in (k, v))
        expected.append(reference(part, keys, values, True, SCALE))
    torch.testing.assert_close(actual, torch.cat(expected))


def test_a_decode_query_attends_only_to_the_pages_of_its_row(flash_attn: Any) -> None:
    k, v, table = cache_of(LENGTHS, pages=2)
    for row, length in enumerate(LENGTHS):  # unused positions hold NaN
        for half in (k, v):
            half[table[row, 0], length:] = torch.nan
            half[table[row, 1], max(0, length - PAGE) :] = torch.nan
    table[0, 1] = -1  # no page
    q = draw(len(LENGTHS), 1, 4, 8)
    actual = flash_attn.flash_attn_with_kvcache(
        q,
        k,
        v,
        cache_seqlens=torch.tensor(LENGTHS, dtype=torch.int32),
        block_table=table,
        softmax_scale=SCALE,
        causal=True,
    )
    for row, length in enumerate(LENGTHS):
        keys, values = (half[table[row].long()].flatten(0, 1)[:length] for half in (k, v))
        torch.testing.assert_close(actual[row], reference(q[row], keys, values, False, SCALE))
    assert not actual[LENGTHS.index(0)].any()


def test_several_decode_queries_per_row_are_refused(flash_attn: Any) -> None:
    k, v, table = cache_of((5,), pages=1)
    with pytest.raises(ValueError, match="2 queries a row"):
        flash_attn.flash_attn_with_kvcache(
            draw(1, 2, 4, 8), k, v, cache_seqlens=torch.tensor([5]), block_table=table
        )


def test_the_flash_kernels_get_equivalent_calls(kernel: list[tuple[int, int]]) -> None:
    assert flash_shim.agrees(TorchFlash(), torch.device("cpu"))
    # Rows, packed sequences, and a cache that is read in place, for two head sizes.
    assert kernel == [(11, 11), (61, 61), (1, PAGE)] * 2


def test_the_cache_is_gathered_for_rows_of_several_pages(
    kernel: list[tuple[int, int]],
) -> None:
    k, v, table = cache_of((300, 40), pages=2)
    lengths = torch.tensor([300, 40])
    plain, flash = TorchPlain(), TorchFlash()
    q, packed = draw(2, 1, 4, 8), draw(5, 4, 8)
    assert torch.equal(
        flash.paged(q, k, v, lengths, table, SCALE), plain.paged(q, k, v, lengths, table, SCALE)
    )
    starts = torch.tensor([0, 2, 5]), torch.tensor([0, 300, 340])
    rest = (packed, k, v, starts, (3, 300), SCALE, True, table)
    torch.testing.assert_close(flash.packed(*rest), plain.packed(*rest))
    assert kernel == [(2, 300), (3, 40)]


@pytest.mark.parametrize("call", ["dense", "packed", "paged"])
def test_an_implementation_with_other_results_is_rejected(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    wrong = TorchPlain()
    right = getattr(wrong, call)
    monkeypatch.setattr(wrong, call, lambda *args: right(*args) * 1.1)
    assert flash_shim.agrees(TorchPlain(), torch.device("cpu"))
    assert not flash_shim.agrees(wrong, torch.device("cpu"))


def test_kernels_that_fail_are_reported_and_not_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Tensor:
        raise RuntimeError("no kernel for this device")

    broken = TorchFlash()
    monkeypatch.setattr(broken, "paged", fail)
    monkeypatch.setattr(broken, "dense", TorchPlain().dense)
    monkeypatch.setattr(broken, "packed", TorchPlain().packed)
    assert not flash_shim.agrees(broken, torch.device("cpu"))
    assert "no kernel for this device" in capsys.readouterr().err
    assert type(flash_shim.choose(torch.device("cpu"))) is TorchPlain
