"""The fused operators of the VAE's decoder, and the decoder that is made of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv
from voxcpm_openai.runtime.model.kernels import vae_ops
from voxcpm_openai.runtime.model.kernels.triton_ops import TritonOps
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.testing.streams import normal

TRITON, TORCH = TritonOps(), TorchOps()
SLOTS = [4, 0, 2]
"""Three rows, not in the order of their slots, among six slots."""
PADDED = [3, 5, 5, 5]
"""A row, and three of the padding slot."""
TOLERANCES = {torch.float32: 3e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
dtypes = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
lengths = pytest.mark.parametrize("length", [1, 4, 28, 300])


def snake(channels: int, seed: int, *, scaled: bool = False) -> ChannelSnake:
    alpha = 0.2 + normal(channels, seed=seed).abs()  # [C]
    scale = 1 + normal(channels, seed=seed + 2) / 4 if scaled else None  # [C]
    return ChannelSnake(alpha, 1 / alpha, normal(channels, seed=seed + 1), scale)


def depthwise(channels: int, dilation: int, *, activates: bool = True) -> DepthwiseConv:
    taps, bias = normal(7, channels, seed=20) / 3, normal(channels, seed=21)  # [K, C], [C]
    snakes = (snake(channels, 22), snake(channels, 25)) if activates else (None, None)
    return DepthwiseConv(taps, bias, dilation, *snakes)


def past_of(channels: int, size: int, slots: int = 6) -> Tensor:
    """A part of each slot's state, as the decoder has it: ``[S, C, size]``."""
    whole = normal(slots, 13 + channels * size + 5, seed=9)  # [S, M]
    return whole[:, 13 : 13 + channels * size].view(slots, channels, size)


def assert_close(actual: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    tolerance = TOLERANCES[dtype]
    assert actual.dtype == expected.dtype
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


def both(
    name: str, x: Tensor, past: Tensor, slots: list[int], *given: object
) -> list[tuple[Tensor, Tensor]]:
    """Return the results of both implementations, and the past that they leave."""
    results = []
    for ops in (TRITON, TORCH):
        own = past.clone()
        call = getattr(ops, name)
        arguments = (x, given[0], own, torch.tensor(slots), *given[1:])
        if name == "snake_output":
            arguments = (x, *given, own, torch.tensor(slots))
        results.append((call(*arguments), own))
    return results


@dtypes
@lengths
@pytest.mark.parametrize("dilation", [1, 3, 9])
def test_snake_conv(dtype: torch.dtype, length: int, dilation: int) -> None:
    channels = 40
    x = normal(len(SLOTS), length, channels, seed=1).to(dtype)  # [B, T, C]
    past = past_of(channels, 6 * dilation)
    conv = depthwise(channels, dilation)
    (y, left), (expected, kept) = both("snake_conv", x, past, SLOTS, conv, dtype)
    assert_close(y, expected, dtype)
    assert_close(left, kept, torch.float32)
    untouched = [slot for slot in range(6) if slot not in SLOTS]
    assert torch.equal(left[untouched], past[untouched])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_a_convolution_without_activations_of_float32(dtype: torch.dtype) -> None:
    x, past = normal(2, 4, 64, seed=1), past_of(64, 6)
    conv = depthwise(64, 1, activates=False)
    (y, left), (expected, kept) = both("snake_conv", x, past, [1, 0], conv, dtype)
    assert y.dtype == dtype
    assert_close(y, expected, dtype)
    assert torch.equal(left, kept)


@dtypes
@lengths
@pytest.mark.parametrize("scaled", [False, True])
def test_snake_pairs(dtype: torch.dtype, length: int, scaled: bool) -> None:
    x = normal(len(SLOTS), length, 40, seed=1).to(dtype)  # [B, T, C]
    given = snake(40, 3, scaled=scaled)
    (y, left), (expected, kept) = both("snake_pairs", x, past_of(40, 1), SLOTS, given)
    assert y.shape == (len(SLOTS), length, 80)
    assert_close(y, expected, dtype)
    assert_close(left, kept, torch.float32)


@dtypes
@lengths
@pytest.mark.parametrize("channels", [32, 24])
def test_snake_output(dtype: torch.dtype, length: int, channels: int) -> None:
    x = normal(len(SLOTS), length, channels, seed=1).to(dtype)  # [B, T, C]
    taps, bias = normal(7, channels, seed=2) / 20, normal(1, seed=3)  # [K, C], [1]
    given = (snake(channels, 3), taps, bias)
    (y, left), (expected, kept) = both("snake_output", x, past_of(channels, 6), SLOTS, *given)
    assert y.dtype == torch.float32
    assert expected.abs().max() > 0.5
    assert_close(y, expected, torch.float32)
    assert_close(left, kept, torch.float32)


def test_many_rows_of_the_padding_slot_leave_a_finite_past_and_change_no_other_row() -> None:
    x = normal(len(PADDED), 28, 40, seed=1)  # [B, T, C]
    past, conv = past_of(40, 54), depthwise(40, 9)
    (y, left), _ = both("snake_conv", x, past, PADDED, conv, torch.float32)
    (alone, kept), _ = both("snake_conv", x[:1], past, PADDED[:1], conv, torch.float32)
    assert torch.equal(y[:1], alone)
    assert torch.equal(left[:5], kept[:5])
    assert left[5].isfinite().all()


def test_chunks_of_any_length_equal_the_whole() -> None:
    x, conv = normal(1, 100, 40, seed=1), depthwise(40, 9)
    (expected, kept), _ = both("snake_conv", x, past_of(40, 54), [2], conv, torch.float32)
    past, slots = past_of(40, 54).clone(), torch.tensor([2])
    parts = [
        TRITON.snake_conv(part, conv, past, slots, torch.float32)
        for part in x.split([1, 30, 5, 60, 4], dim=1)
    ]
    assert_close(torch.cat(parts, dim=1), expected, torch.float32)
    assert_close(past, kept, torch.float32)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, 60000.0])
def test_an_overflow_of_float16_leaves_all_finite(value: float) -> None:
    x = normal(1, 20, 32, seed=1).half()  # [B, T, C]
    x[0, 18, 3] = value
    slots = torch.tensor([0])
    for dilation in (1, 9):
        past = past_of(32, 6 * dilation).clone()
        y = TRITON.snake_conv(x, depthwise(32, dilation), past, slots, torch.float16)
        assert y.isfinite().all()
        assert past.isfinite().all()
    past = past_of(32, 1).clone()
    assert TRITON.snake_pairs(x, snake(32, 3), past, slots).isfinite().all()
    assert past.isfinite().all()


def test_the_first_program_has_all_chains_that_reach_into_the_past() -> None:
    assert vae_ops.LANES >= 9
    assert min(vae_ops.STEPS) >= vae_ops.TAPS - 1


@pytest.mark.parametrize("size", [1.0, 30.0, 3000.0])
def test_the_activation_of_large_numbers(size: float) -> None:
    x = size * normal(1, 64, 40, seed=1)  # [B, T, C]
    given, slots = snake(40, 3), torch.tensor([0])
    y = TRITON.snake_pairs(x, given, past_of(40, 1).clone(), slots)[..., :40]
    exact = (x + given.offset).double()  # [B, T, C]
    exact = exact + (exact * given.alpha).sin() ** 2 * given.inverse
    # An angle is rounded as the number is.
    torch.testing.assert_close(y.double(), exact, atol=3e-6 + 3e-7 * size, rtol=1e-6)
