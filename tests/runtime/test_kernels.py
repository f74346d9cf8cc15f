"""Each Triton kernel against PyTorch's operators, in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from voxcpm_openai.runtime.model.kernels import solver, triton_ops
from voxcpm_openai.runtime.model.kernels.triton_ops import TritonOps
from voxcpm_openai.runtime.model.noise import ROUNDS, Noise
from voxcpm_openai.runtime.model.ops import HeadLayout, Rope, TorchOps
from voxcpm_openai.runtime.model.state import TokenBatch
from voxcpm_openai.testing.streams import normal

CPU = torch.device("cpu")
TRITON, TORCH = TritonOps(), TorchOps()
DTYPES = [torch.float32, torch.bfloat16]
HEADS = [HeadLayout(16, 2, 128), HeadLayout(16, 2, 64), HeadLayout(4, 2, 16)]
"""Of VoxCPM2, of the other models, and of the tests' tiny models."""

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
heads_of_models = pytest.mark.parametrize("heads", HEADS, ids=str)


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return normal(*shape, seed=seed)  # shape


def assert_close(actual: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """``expected``: PyTorch's result for the same numbers in float32."""
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    # A bfloat16 has 8 bits, and so have the tensors between two kernels.
    tolerance = 2e-6 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(actual.float(), expected, atol=tolerance, rtol=tolerance)


def random_rope(heads: HeadLayout, positions: int) -> Rope:
    angles = drawn(positions, heads.head_dim // 2, seed=8) * 3  # [N, D/2]
    cos, sin = angles.cos() * 1.1, angles.sin() * 1.1  # [N, D/2] each
    return Rope(torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1))


@dtypes
@pytest.mark.parametrize("width", [48, 64, 1024, 2048])
def test_norm_and_add_norm(dtype: torch.dtype, width: int) -> None:
    x, delta = drawn(2, 3, 5, width).to(dtype)  # [3, 5, W] each
    weight = (1 + drawn(width, seed=2)).to(dtype)  # [W]
    total, normed = TRITON.add_norm(x, delta, weight, 1e-5)
    summed = x + delta  # [3, 5, W]
    assert torch.equal(total, summed)
    assert_close(normed, TORCH.norm(summed.float(), weight.float(), 1e-5), dtype)
    assert_close(TRITON.norm(x, weight, 1e-5), TORCH.norm(x.float(), weight.float(), 1e-5), dtype)


def test_add_norm_of_a_view_of_some_tokens() -> None:
    x = drawn(3, 11, 48)[:, 7:]  # [3, 4, W]
    delta, weight = drawn(3, 4, 48, seed=2), drawn(48, seed=3)
    actual, expected = (ops.add_norm(x, delta, weight, 1e-5) for ops in (TRITON, TORCH))
    assert torch.equal(actual[0], expected[0])
    assert_close(actual[1], expected[1], torch.float32)


@dtypes
@pytest.mark.parametrize(("shape", "size"), [((3, 5), 96), ((7,), 4096), ((1, 1), 6144)])
def test_swiglu(dtype: torch.dtype, shape: tuple[int, ...], size: int) -> None:
    gate_up = (4 * drawn(*shape, 2 * size)).to(dtype)  # [..., 2 I]
    assert_close(TRITON.swiglu(gate_up), TORCH.swiglu(gate_up.float()), dtype)


@dtypes
@heads_of_models
@pytest.mark.parametrize(
    ("tokens", "keep"),
    [(5, slice(3, None)), (9, slice(5, None)), (11, slice(7, None)), (11, slice(None)),
     (5, slice(0, 1)), (3, slice(0, 1)), (19, slice(0, 18))],
)  # fmt: skip
def test_attention(dtype: torch.dtype, heads: HeadLayout, tokens: int, keep: slice) -> None:
    qkv = drawn(2, tokens, heads.qkv_size).to(dtype)
    rope = random_rope(heads, tokens)
    expected = TORCH.attention(qkv.float(), heads, rope, keep)
    assert_close(TRITON.attention(qkv, heads, rope, keep), expected, dtype)


def test_attention_without_positions() -> None:
    heads = HEADS[1]
    qkv = drawn(2, 9, heads.qkv_size)
    actual, expected = (ops.attention(qkv, heads, None, slice(None)) for ops in (TRITON, TORCH))
    assert_close(actual, expected, torch.float32)


def token_batch(slots: list[int], token_positions: list[int]) -> TokenBatch:
    positions, index = torch.tensor(token_positions), torch.tensor(slots)  # [B] each
    kv_len = max(token_positions) + 1
    mask = (torch.arange(kv_len) <= positions[:, None])[:, None, None]  # [B, 1, 1, kv_len]
    return TokenBatch(index, index, index, positions, index, positions + 1, kv_len, mask)


BATCHES = {
    "one row": ([2], [150]),
    "one row at position 0": ([0], [0]),
    "scattered rows": ([4, 0, 3], [64, 63, 129]),
    "a prompt among rows": ([1, 3, 1, 1, 1], [30, 199, 31, 32, 33]),
    "a prompt from the start": ([1] * 7, list(range(7))),
}


@dtypes
@heads_of_models
@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("rotates", [True, False])
def test_decode_attention(dtype: torch.dtype, heads: HeadLayout, name: str, rotates: bool) -> None:
    slots, positions = BATCHES[name]
    batch = token_batch(slots, positions)
    qkv = drawn(len(slots), heads.qkv_size, seed=3).to(dtype)
    rope = random_rope(heads, 200) if rotates else None
    # Two layers, of which the second is used; unwritten positions must not be read.
    kv = drawn(2, 2, 5, heads.num_kv_heads, 200, heads.head_dim).to(
        dtype
    )  # [2, layers, S, KV, N, D]
    for slot in set(slots):
        written = max(p for s, p in zip(slots, positions, strict=True) if s == slot) + 1
        kv[:, :, slot, :, written:] = torch.nan
    expected_kv = kv.float().nan_to_num()
    expected = TORCH.decode_attention(qkv.float(), heads, rope, *expected_kv[:, 1], batch)
    other_layer = kv[:, 0].clone()
    actual = TRITON.decode_attention(qkv, heads, rope, *kv[:, 1], batch)
    assert_close(actual, expected, dtype)
    assert_close(kv[:, 1].nan_to_num(), expected_kv[:, 1], dtype)
    assert torch.equal(kv[:, 0].nan_to_num(), other_layer.nan_to_num())


@pytest.mark.parametrize(("rows", "splits"), [(1, 8), (8, 8), (16, 4), (32, 2), (64, 1), (300, 1)])
def test_the_keys_of_few_rows_are_split(rows: int, splits: int) -> None:
    assert triton_ops._num_splits(2 * rows, 1024) == splits
    assert triton_ops._num_splits(2 * rows, 60) == 1


@dtypes
@pytest.mark.parametrize(("tokens", "separate_time"), [(1, False), (2, True)])
def test_build_dit_input(dtype: torch.dtype, tokens: int, separate_time: bool) -> None:
    condition = drawn(3, tokens, 80).to(dtype)
    time_embed = drawn(3, 9, 80, seed=2).to(dtype)[:, 4]  # [3, W], one of many evaluations
    past, frames = drawn(2, 3, 4, 80, seed=3).to(dtype)  # [3, P, W] each
    actual, expected = (
        ops.build_dit_input(condition, time_embed, past, frames, separate_time=separate_time)
        for ops in (TRITON, TORCH)
    )
    assert torch.equal(actual, expected)


@dtypes
@pytest.mark.parametrize("rows", [1, 3])
def test_cfg_euler_step(dtype: torch.dtype, rows: int) -> None:
    x, velocity = drawn(rows, 4, 64), drawn(2 * rows, 4, 64, seed=2).to(dtype)
    cfg = 1 + torch.arange(rows) * 0.7  # [B]
    step_sizes = torch.linspace(0.3, 0.0, 2 * rows)[::2]  # [B]
    actual, expected = x.clone(), x.clone()
    TRITON.cfg_euler_step(actual, velocity, cfg, step_sizes)
    TORCH.cfg_euler_step(expected, velocity, cfg, step_sizes)
    assert_close(actual, expected, torch.float32)


@triton.jit
def _words(seeds, patches, y, size: tl.constexpr, rounds: tl.constexpr):
    row, n = tl.program_id(0), tl.arange(0, size)
    a, b, c, d = solver.draw_words(tl.load(seeds + row), tl.load(patches + row), n, rounds)
    target = y + row * 4 * size + n
    tl.store(target, a.to(tl.int64))
    tl.store(target + size, b.to(tl.int64))
    tl.store(target + 2 * size, c.to(tl.int64))
    tl.store(target + 3 * size, d.to(tl.int64))


SEEDS = torch.tensor([0, 5, 5, 2**31, 2**32 + 5, 2**63 - 1, 0x123456789ABCDEF])
PATCHES = torch.tensor([0, 0, 1, 2**31 - 1, 7, 9, 4321])


def test_noise_has_the_same_bits() -> None:
    words = torch.zeros(len(SEEDS), 4, 64, dtype=torch.int64)
    _words[(len(SEEDS),)](SEEDS, PATCHES, words, size=64, rounds=ROUNDS)
    blocks = torch.arange(64)
    counter = torch.zeros(4, len(SEEDS), 64, dtype=torch.int64)
    counter[0], counter[1] = blocks, PATCHES[:, None]
    key = torch.stack((SEEDS & 0xFFFFFFFF, SEEDS >> 32))[..., None]  # [2, B, 1]
    assert torch.equal(words, Noise(CPU).words(counter, key).transpose(0, 1))


@pytest.mark.parametrize("frames", [2, 4, 3])
def test_noise(frames: int) -> None:
    actual = TRITON.noise(CPU)(SEEDS, PATCHES, 64, frames)
    expected = TORCH.noise(CPU)(SEEDS, PATCHES, 64, frames)
    assert_close(actual, expected, torch.float32)


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 24, 1), (3, 128, 30), (2, 1, 1024)])
def test_snake(shape: tuple[int, ...]) -> None:
    x = 5 * drawn(*shape)
    alpha = 0.1 + drawn(1, shape[1], 1, seed=2).abs()  # [1, C, 1]
    actual, expected = (ops.snake(x, alpha, 1 / alpha) for ops in (TRITON, TORCH))
    assert_close(actual, expected, torch.float32)
