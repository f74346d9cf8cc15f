"""The noise kernel makes of the smallest words what PyTorch's operators make of them."""

from __future__ import annotations

import math

import pytest
import torch
import triton
import triton.language as tl

from voxcpm_openai.runtime.model.kernels import solver
from voxcpm_openai.runtime.model.kernels.triton_ops import TritonOps

HALF = 0.5 * 2.0**-32


@triton.jit
def zeros(seed, patch, n, rounds):
    """Words of 0 in the place of Philox's."""
    zero = (n * 0).to(tl.uint32)
    return zero, zero, zero, zero


def test_a_word_of_zero_stands_for_the_middle_of_its_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(solver, "draw_words", zeros)
    seed = torch.tensor([1])
    numbers = TritonOps().noise(torch.device("cpu"))(seed, seed, 4, 1).flatten()  # [4]
    radius, angle = math.sqrt(-2 * math.log(HALF)), 2 * math.pi * HALF
    expected = [radius, radius * angle] * 2
    assert numbers.tolist() == pytest.approx(expected, rel=1e-5)
