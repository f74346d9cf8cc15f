"""The smallest words make the largest numbers, and no infinite one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from voxcpm_openai.runtime.model.noise import Noise

HALF = 0.5 * 2.0**-32
LARGEST = math.sqrt(-2 * math.log(HALF))
"""What a word of 0 becomes, which stands for the middle of its interval: 6.76."""


def drawn(monkeypatch: pytest.MonkeyPatch, word: int) -> Tensor:
    """Return the numbers ``[4]`` of a block whose words are all the same."""
    words = torch.full((4, 1, 1), word)  # [4, 1, 1]
    monkeypatch.setattr(Noise, "words", lambda *_: words)
    seed = torch.tensor([1])
    return Noise(torch.device("cpu"))(seed, seed, 4, 1).flatten()


def test_a_word_of_zero_stands_for_the_middle_of_its_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = drawn(monkeypatch, 0)
    angle = 2 * math.pi * HALF
    assert numbers[[0, 2]].tolist() == pytest.approx([LARGEST] * 2, rel=1e-5)
    assert numbers[[1, 3]].tolist() == pytest.approx([LARGEST * angle] * 2, rel=1e-5)


def test_the_largest_word_makes_a_number_near_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = drawn(monkeypatch, 2**32 - 1)
    assert numbers.isfinite().all()
    assert numbers.abs().max() < 1e-3
