"""Each Triton kernel against PyTorch's operators, in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from tests.runtime.clips import normal
from voxcpm_openai.runtime.kernels import solver
from voxcpm_openai.runtime.kernels.ops import TritonOps
from voxcpm_openai.runtime.model.noise import ROUNDS, Noise
from voxcpm_openai.runtime.model.ops import Heads, Rope, TorchOps
from voxcpm_openai.runtime.model.state import Rows

CPU = torch.device("cpu")
TRITON, TORCH = TritonOps(), TorchOps()
DTYPES = [torch.float32, torch.bfloat16]
HEADS = [Heads(16, 2, 128), Heads(16, 2, 64), Heads(4, 2, 16)]
"""VoxCPM2's, those of the others, and the tests' tiny models'."""

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
heads_of_models = pytest.mark.parametrize("heads", HEADS, ids=str)


def some(*shape: int, seed: int = 1) -> Tensor:
    """Normal noise."""
    return normal(*shape, seed=seed)  # shape


def assert_close(made: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """``expected``: what PyTorch makes of the same numbers in float32."""
    assert made.dtype == dtype
    assert made.shape == expected.shape
    # A bfloat16 has 8 bits; what is between two kernels is rounded to it, too.
    bar = 2e-6 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(made.float(), expected, atol=bar, rtol=bar)


def rope(heads: Heads, positions: int) -> Rope:
    """Any cosines and sines do: no two are alike."""
    angles = some(positions, heads.width // 2, seed=8) * 3  # [N, D/2]
    cos, sin = angles.cos() * 1.1, angles.sin() * 1.1  # [N, D/2] each
    return Rope(torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1))


@dtypes
@pytest.mark.parametrize("width", [48, 64, 1024, 2048])
def test_norms(dtype: torch.dtype, width: int) -> None:
    x, more = some(2, 3, 5, width).to(dtype)  # [3, 5, W] each
    weight = (1 + some(width, seed=2)).to(dtype)  # [W]
    total, normed = TRITON.add_norm(x, more, weight, 1e-5)
    summed = x + more  # [3, 5, W]
    assert torch.equal(total, summed)
    assert_close(normed, TORCH.norm(summed.float(), weight.float(), 1e-5), dtype)
    alone = TRITON.norm(x, weight, 1e-5)
    assert_close(alone, TORCH.norm(x.float(), weight.float(), 1e-5), dtype)


def test_a_part_of_the_tokens_is_normed_where_it_lies() -> None:
    x = some(3, 11, 48)[:, 7:]  # [3, 4, W]
    more, weight = some(3, 4, 48, seed=2), some(48, seed=3)
    made, expected = (ops.add_norm(x, more, weight, 1e-5) for ops in (TRITON, TORCH))
    assert torch.equal(made[0], expected[0])
    assert_close(made[1], expected[1], torch.float32)


@dtypes
@pytest.mark.parametrize(("shape", "inner"), [((3, 5), 96), ((7,), 4096), ((1, 1), 6144)])
def test_gates(dtype: torch.dtype, shape: tuple[int, ...], inner: int) -> None:
    gate_up = (4 * some(*shape, 2 * inner)).to(dtype)  # [..., 2 I]
    assert_close(TRITON.gated(gate_up), TORCH.gated(gate_up.float()), dtype)


@dtypes
@heads_of_models
@pytest.mark.parametrize(
    ("tokens", "keep"),
    [(5, slice(3, None)), (9, slice(5, None)), (11, slice(7, None)), (11, slice(None)),
     (5, slice(0, 1)), (3, slice(0, 1)), (19, slice(0, 18))],
)  # fmt: skip
def test_tokens_that_all_see_each_other(
    dtype: torch.dtype, heads: Heads, tokens: int, keep: slice
) -> None:
    qkv = some(2, tokens, (heads.own + 2 * heads.shared) * heads.width).to(dtype)
    turn = rope(heads, tokens)
    expected = TORCH.see_all(qkv.float(), heads, turn, keep)
    assert_close(TRITON.see_all(qkv, heads, turn, keep), expected, dtype)


def test_tokens_without_positions() -> None:
    heads = HEADS[1]
    qkv = some(2, 9, (heads.own + 2 * heads.shared) * heads.width)
    made, expected = (ops.see_all(qkv, heads, None, slice(None)) for ops in (TRITON, TORCH))
    assert_close(made, expected, torch.float32)


def rows_at(slots: list[int], positions: list[int]) -> Rows:
    at, index = torch.tensor(positions), torch.tensor(slots)  # [B] each
    span = max(positions) + 1
    mask = (torch.arange(span) <= at[:, None])[:, None, None]  # [B, 1, 1, span]
    return Rows(index, index, index, at, index, at + 1, span, mask)


ROWS = {
    "one row": ([2], [150]),
    "one row that has no past": ([0], [0]),
    "rows here and there": ([4, 0, 3], [64, 63, 129]),
    "a prompt among others": ([1, 3, 1, 1, 1], [30, 199, 31, 32, 33]),
    "a prompt from the start": ([1] * 7, list(range(7))),
}


@dtypes
@heads_of_models
@pytest.mark.parametrize("which", ROWS)
@pytest.mark.parametrize("turned", [True, False])
def test_rows_that_see_their_past(
    dtype: torch.dtype, heads: Heads, which: str, turned: bool
) -> None:
    slots, positions = ROWS[which]
    rows = rows_at(slots, positions)
    qkv = some(len(slots), (heads.own + 2 * heads.shared) * heads.width, seed=3).to(dtype)
    turn = rope(heads, 200) if turned else None
    # Two layers, of which the second is used; what nobody has written yet must not be looked at.
    kept = some(2, 2, 5, heads.shared, 200, heads.width).to(dtype)  # [2, layers, S, KV, N, D]
    for slot in set(slots):
        written = max(p for s, p in zip(slots, positions, strict=True) if s == slot) + 1
        kept[:, :, slot, :, written:] = torch.nan
    plain = kept.float().nan_to_num()
    expected = TORCH.see_past(qkv.float(), heads, turn, *plain[:, 1], rows)
    untouched = kept[:, 0].clone()
    made = TRITON.see_past(qkv, heads, turn, *kept[:, 1], rows)
    assert_close(made, expected, dtype)
    assert_close(kept[:, 1].nan_to_num(), plain[:, 1], dtype)
    assert torch.equal(kept[:, 0].nan_to_num(), untouched.nan_to_num())


@pytest.mark.parametrize(("rows", "parts"), [(1, 8), (8, 8), (16, 4), (32, 2), (64, 1), (300, 1)])
def test_few_rows_share_out_their_keys(rows: int, parts: int) -> None:
    from voxcpm_openai.runtime.kernels.ops import _parts

    assert _parts(2 * rows, 1024) == parts
    assert _parts(2 * rows, 60) == 1


@dtypes
@pytest.mark.parametrize(("told", "separate"), [(1, False), (2, True)])
def test_tokens_of_locdit_stand_in_line(dtype: torch.dtype, told: int, separate: bool) -> None:
    condition = some(3, told, 80).to(dtype)
    time = some(3, 9, 80, seed=2).to(dtype)[:, 4]  # [3, W], as one of many evaluations
    past, frames = some(2, 3, 4, 80, seed=3).to(dtype)  # [3, P, W] each
    made, expected = (
        ops.line_up(condition, time, past, frames, separate=separate) for ops in (TRITON, TORCH)
    )
    assert torch.equal(made, expected)


@dtypes
@pytest.mark.parametrize("rows", [1, 3])
def test_the_solver_goes_on(dtype: torch.dtype, rows: int) -> None:
    x, velocity = some(rows, 4, 64), some(2 * rows, 4, 64, seed=2).to(dtype)
    cfg = 1 + torch.arange(rows) * 0.7  # [B]
    strides = torch.linspace(0.3, 0.0, 2 * rows)[::2]  # [B]
    made, expected = x.clone(), x.clone()
    TRITON.guide(made, velocity, cfg, strides)
    TORCH.guide(expected, velocity, cfg, strides)
    assert_close(made, expected, torch.float32)


@triton.jit
def _words(seeds, patches, y, size: tl.constexpr, rounds: tl.constexpr):  # type: ignore[no-untyped-def]
    row, n = tl.program_id(0), tl.arange(0, size)
    a, b, c, d = solver.draw_words(tl.load(seeds + row), tl.load(patches + row), n, rounds)
    place = y + row * 4 * size + n
    tl.store(place, a.to(tl.int64))
    tl.store(place + size, b.to(tl.int64))
    tl.store(place + 2 * size, c.to(tl.int64))
    tl.store(place + 3 * size, d.to(tl.int64))


SEEDS = torch.tensor([0, 5, 5, 2**31, 2**32 + 5, 2**63 - 1, 0x123456789ABCDEF])
PATCHES = torch.tensor([0, 0, 1, 2**31 - 1, 7, 9, 4321])


def test_noise_is_made_of_the_same_bits() -> None:
    made = torch.zeros(len(SEEDS), 4, 64, dtype=torch.int64)
    _words[(len(SEEDS),)](SEEDS, PATCHES, made, size=64, rounds=ROUNDS)
    blocks = torch.arange(64)
    counter = torch.zeros(4, len(SEEDS), 64, dtype=torch.int64)
    counter[0], counter[1] = blocks, PATCHES[:, None]
    key = torch.stack((SEEDS & 0xFFFFFFFF, SEEDS >> 32))[..., None]  # [2, B, 1]
    assert torch.equal(made, Noise(CPU).words(counter, key).transpose(0, 1))


@pytest.mark.parametrize("frames", [2, 4, 3])
def test_noise(frames: int) -> None:
    made = TRITON.noise(CPU)(SEEDS, PATCHES, 64, frames)
    expected = TORCH.noise(CPU)(SEEDS, PATCHES, 64, frames)
    assert_close(made, expected, torch.float32)


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 24, 1), (3, 128, 30), (2, 1, 1024)])
def test_snakes(shape: tuple[int, ...]) -> None:
    x = 5 * some(*shape)
    alpha = 0.1 + some(1, shape[1], 1, seed=2).abs()  # [1, C, 1]
    made, expected = (ops.snake(x, alpha, 1 / alpha) for ops in (TRITON, TORCH))
    assert_close(made, expected, torch.float32)
