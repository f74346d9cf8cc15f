"""The operators in C++ against PyTorch's, over shapes, dtypes, threads and instruction sets."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.runtime.cpp import FLAGS, cpp_ops
from voxcpm_openai.runtime.device.cpu_operators import isa
from voxcpm_openai.runtime.model.cpu.cpu_ops import MAX_TOKENS, CpuOps
from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv
from voxcpm_openai.runtime.model.int8_ops import TorchInt8Ops
from voxcpm_openai.runtime.model.ops import HeadLayout, Rope, TorchOps
from voxcpm_openai.runtime.model.state import TokenBatch
from voxcpm_openai.testing.streams import normal

TORCH = TorchOps()
TOLERANCES = {torch.float32: 3e-6, torch.bfloat16: 2e-2}
EPSILON = 1e-5
SANITIZED = FLAGS in os.environ
MANY = settings(max_examples=8 if SANITIZED else 40, deadline=None, derandomize=True)

dtypes = st.sampled_from(list(TOLERANCES))
seeds = st.integers(0, 1000)
widths = st.integers(1, 70) | st.sampled_from([256, 1024, 2048])
rows = st.integers(1, 9)
head_layouts = st.builds(
    lambda kv, group, half: HeadLayout(kv * group, kv, 2 * half),
    st.integers(1, 3), st.integers(1, 8), st.integers(1, 32),
)  # fmt: skip


@pytest.fixture(scope="module", params=[isa()] if SANITIZED else ["AVX2", "AVX512"], name="cpp")
def _cpp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CpuOps:
    return cpp_ops(tmp_path_factory, request.param)


@pytest.fixture(scope="module", params=[1, 2], autouse=True)
def _threads(request: pytest.FixtureRequest) -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def close(actual: Tensor, expected: Tensor, scale: float = 1.0) -> None:
    tolerance = TOLERANCES.get(expected.dtype, 0.0) * scale
    assert actual.dtype == expected.dtype
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return normal(*shape, seed=seed).to(dtype)


def rope_of(heads: HeadLayout, positions: int) -> Rope:
    angles = drawn(positions, heads.head_dim // 2, seed=77)  # [N, D/2]
    cos, sin = angles.cos(), angles.sin()
    return Rope(torch.cat((cos, cos), dim=1), torch.cat((-sin, sin), dim=1))


@MANY
@given(batch=rows, tokens=rows, width=widths, dtype=dtypes, seed=seeds, kept=rows)
def test_norms(
    cpp: CpuOps, batch: int, tokens: int, width: int, dtype: torch.dtype, seed: int, kept: int
) -> None:
    x = drawn(batch, tokens, width, seed=seed, dtype=dtype)
    weight = drawn(width, seed=seed + 1, dtype=dtype)
    close(cpp.norm(x, weight, EPSILON), TORCH.norm(x, weight, EPSILON))
    flat = x.flatten(0, 1)
    close(cpp.norm(flat, weight, EPSILON), TORCH.norm(flat, weight, EPSILON))
    part = x[:, -kept:]
    delta = drawn(*part.shape, seed=seed + 2, dtype=dtype)
    for ours, theirs in zip(
        cpp.add_norm(part, delta, weight, EPSILON), TORCH.add_norm(part, delta, weight, EPSILON),
        strict=True,
    ):  # fmt: skip
        close(ours, theirs)


@MANY
@given(
    batch=rows, tokens=rows, width=widths, dtype=dtypes, seed=seeds, size=st.sampled_from([1, 40])
)
def test_swiglu(
    cpp: CpuOps, batch: int, tokens: int, width: int, dtype: torch.dtype, seed: int, size: int
) -> None:
    gate_up = size * drawn(batch, tokens, 2 * width, seed=seed, dtype=dtype)
    close(cpp.swiglu(gate_up), TORCH.swiglu(gate_up), scale=size)


@MANY
@given(
    batch=rows, tokens=st.integers(1, 12) | st.just(MAX_TOKENS + 1), heads=head_layouts,
    dtype=dtypes, seed=seeds, rotates=st.booleans(), data=st.data(),
)  # fmt: skip
def test_attention(
    cpp: CpuOps, batch: int, tokens: int, heads: HeadLayout, dtype: torch.dtype, seed: int,
    rotates: bool, data: st.DataObject,
) -> None:  # fmt: skip
    qkv = drawn(batch, tokens, heads.qkv_size, seed=seed, dtype=dtype)
    rope = rope_of(heads, tokens + 2) if rotates else None
    first = data.draw(st.integers(0, tokens - 1))
    keep = slice(first, data.draw(st.integers(first + 1, tokens)))
    close(cpp.attention(qkv, heads, rope, keep), TORCH.attention(qkv, heads, rope, keep))


@MANY
@given(heads=head_layouts, dtype=dtypes, seed=seeds, rotates=st.booleans(), data=st.data())
def test_decode_attention(
    cpp: CpuOps, heads: HeadLayout, dtype: torch.dtype, seed: int, rotates: bool,
    data: st.DataObject,
) -> None:  # fmt: skip
    count, length = 5, 40
    slots = torch.tensor(data.draw(st.permutations(range(count)).map(lambda p: p[:3])))
    positions = torch.tensor(
        data.draw(st.lists(st.integers(0, length - 1), min_size=3, max_size=3))
    )
    if data.draw(st.booleans()):  # two rows of one slot
        slots[1], positions[1] = slots[0], (positions[0] + 1) % length
    kv_len = int(positions.max()) + 1
    mask = (torch.arange(kv_len) <= positions[:, None])[:, None, None]  # [B, 1, 1, L]
    batch = TokenBatch(slots, slots, slots, positions, slots, positions + 1, kv_len, mask)
    qkv = drawn(3, heads.qkv_size, seed=seed, dtype=dtype)
    cache = drawn(2, count, heads.num_kv_heads, length, heads.head_dim, seed=seed + 1, dtype=dtype)
    rope = rope_of(heads, length) if rotates else None
    ours, theirs = cache.clone(), cache.clone()
    close(
        cpp.decode_attention(qkv, heads, rope, *ours, batch),
        TORCH.decode_attention(qkv, heads, rope, *theirs, batch),
    )
    close(ours, theirs)


@MANY
@given(
    batch=rows, conditions=st.integers(1, 2), patch=st.integers(1, 4), width=widths, dtype=dtypes,
    seed=seeds, separate=st.booleans(),
)  # fmt: skip
def test_the_input_and_the_step_of_the_solver(
    cpp: CpuOps, batch: int, conditions: int, patch: int, width: int, dtype: torch.dtype,
    seed: int, separate: bool,
) -> None:  # fmt: skip
    conditions = conditions if separate else 1
    condition = drawn(batch, conditions, width, seed=seed, dtype=dtype)
    time = drawn(batch, width, seed=seed + 1, dtype=dtype)
    past, frames = (drawn(batch, patch, width, seed=seed + i, dtype=dtype) for i in (2, 3))
    ours, theirs = (
        ops.build_dit_input(condition, time, past, frames, separate_time=separate)
        for ops in (cpp, TORCH)
    )
    assert torch.equal(ours, theirs)
    velocity = drawn(2 * batch, patch, width, seed=seed + 4, dtype=dtype)
    cfg, sizes = drawn(batch, seed=seed + 5), drawn(batch, seed=seed + 6) / 10
    stepped = [drawn(batch, patch, width, seed=seed + 7) for _ in range(2)]
    for ops, x in zip((cpp, TORCH), stepped, strict=True):
        ops.cfg_euler_step(x, velocity, cfg, sizes)
    torch.testing.assert_close(*stepped, atol=1e-4, rtol=1e-4)


@MANY
@given(count=rows, width=widths, seed=seeds, size=st.sampled_from([0.0, 1e-9, 1.0, 1e9]))
def test_rows_in_8_bits(cpp: CpuOps, count: int, width: int, seed: int, size: float) -> None:
    reference, x = TorchInt8Ops(), size * drawn(count, width, seed=seed)
    for ours, theirs in zip(cpp.int8.quantize(x), reference.quantize(x), strict=True):
        assert torch.equal(ours, theirs)
    y, scale, bias = drawn(count, width, seed=seed + 1), drawn(count, 1, seed=seed + 2), x[0]
    for added in (bias, None):
        close(cpp.int8.rescale(y.clone(), scale, added), reference.rescale(y.clone(), scale, added))
    gate_up = drawn(count, 2 * width, seed=seed + 3)
    ours, factors = cpp.int8.swiglu(gate_up.clone(), scale)
    theirs, expected = reference.swiglu(gate_up.clone(), scale)
    close(factors, expected)
    assert (ours.int() - theirs.int()).abs().max() <= 1  # beside a half


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_not_lost(cpp: CpuOps, value: float) -> None:
    x = drawn(1, 4, 64, seed=1)
    x[0, 1, 3] = value
    heads = HeadLayout(2, 1, 16)
    ones = torch.ones(64)
    snake = ChannelSnake(ones, ones, torch.zeros(64))
    past, slots = torch.zeros(1, 64, 6), torch.tensor([0])
    conv = DepthwiseConv(drawn(7, 64, seed=2), ones, 1, snake, snake)
    assert not cpp.norm(x, ones, EPSILON).isfinite().all()
    assert not cpp.swiglu(x).isfinite().all()
    assert not cpp.attention(x, heads, None, slice(None)).isfinite().all()
    assert not cpp.int8.quantize(x[0])[1].isfinite().all()
    assert not cpp.snake_conv(x, conv, past, slots, torch.float32).isfinite().all()
    assert not past.isfinite().all()


def snake_of(channels: int, seed: int, *, scaled: bool) -> ChannelSnake:
    alpha = 0.2 + drawn(channels, seed=seed).abs()
    scale = 1 + drawn(channels, seed=seed + 1) / 4 if scaled else None
    return ChannelSnake(alpha, 1 / alpha, drawn(channels, seed=seed + 2), scale)


@MANY
@given(
    slots=st.permutations(range(4)), batch=st.integers(1, 4), channels=st.integers(1, 40),
    lengths=st.lists(st.integers(1, 30) | st.sampled_from([256, 300]), min_size=1, max_size=3),
    dilation=st.sampled_from([1, 3, 9]), activates=st.booleans(), scaled=st.booleans(), seed=seeds,
    dtype=dtypes,
)  # fmt: skip
def test_the_operators_of_the_vae(
    cpp: CpuOps, slots: list[int], batch: int, channels: int, lengths: list[int], dilation: int,
    activates: bool, scaled: bool, seed: int, dtype: torch.dtype,
) -> None:  # fmt: skip
    index, snake = torch.tensor(slots[:batch]), snake_of(channels, seed, scaled=scaled)
    taps, bias = drawn(7, channels, seed=seed + 5) / 3, drawn(channels, seed=seed + 6)
    conv = DepthwiseConv(taps, bias, dilation)
    if activates:
        conv = replace(conv, before=snake, after=snake_of(channels, seed + 7, scaled=scaled))
    sizes = {"conv": 6 * dilation, "pairs": 1, "output": 6}
    results = []
    for ops in (cpp, TORCH):
        pasts = {
            # A part of each slot's state, as the decoder has it.
            name: drawn(4, 3 + channels * size + 5, seed=size)[:, 3 : 3 + channels * size].view(
                4, channels, size
            )
            for name, size in sizes.items()
        }
        for length in lengths:
            x = drawn(batch, length, channels, seed=seed + length, dtype=dtype)  # [B, T, C]
            results.append([
                ops.snake_conv(x, conv, pasts["conv"], index, dtype),
                ops.snake_pairs(x, snake, pasts["pairs"], index),
                ops.snake_output(x, snake, taps / channels, bias[:1], pasts["output"], index),
                *(past.clone() for past in pasts.values()),
            ])  # fmt: skip
    for ours, theirs in zip(results[: len(lengths)], results[len(lengths) :], strict=True):
        for actual, expected in zip(ours, theirs, strict=True):
            close(actual, expected, scale=3)


@pytest.mark.parametrize("size", [1.0, 30.0, 3000.0])
def test_the_activation_of_large_numbers(cpp: CpuOps, size: float) -> None:
    x = size * drawn(2, 24, 100, seed=1)  # [B, C, T]
    alpha = 0.2 + drawn(1, 24, 1, seed=2).abs()
    exact = x.double() + (x.double() * alpha).sin() ** 2 / alpha
    # An angle is rounded as the number is.
    y = cpp.snake(x, alpha, 1 / alpha).double()
    torch.testing.assert_close(y, exact, atol=3e-6 + 3e-7 * size, rtol=1e-6)
