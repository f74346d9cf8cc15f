"""Counter-based noise: published Philox vectors, normal numbers, independent rows and patches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voxcpm_openai.runtime.model.noise import Noise

CPU = torch.device("cpu")


def words(line: str) -> Tensor:
    return torch.tensor([int(word, 16) for word in line.split()])[:, None, None]  # [n, 1, 1]


@pytest.mark.parametrize(
    ("counter", "key", "scrambled"),
    [  # the test vectors of Random123, the paper's library
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_matches_the_published_vectors(counter: str, key: str, scrambled: str) -> None:
    assert torch.equal(Noise(CPU).words(words(counter), words(key)), words(scrambled))


def test_the_numbers_are_normal() -> None:
    seeds = torch.arange(500) * 7_777_777
    drawn = Noise(CPU)(seeds, seeds % 11, 64, 4).double()  # [500, 64, 4]
    assert drawn.mean().abs() < 0.01
    assert (drawn.std() - 1).abs() < 0.01
    assert ((drawn**3).mean()).abs() < 0.03
    assert ((drawn**4).mean() - 3).abs() < 0.1
    assert drawn.isfinite().all()
    # Also each number of a patch, and no two of them are correlated.
    assert drawn.mean(dim=0).abs().max() < 0.25
    correlation = torch.corrcoef(drawn.flatten(1).T).fill_diagonal_(0)  # [256, 256]
    assert correlation.abs().max() < 0.25


def test_noise_depends_on_the_seed_and_the_patch_only() -> None:
    noise = Noise(CPU)
    seeds = torch.tensor([5, 5, 6, 5 + 2**32, 2**63 - 1])
    patches = torch.tensor([0, 1, 0, 0, 9])
    together = noise(seeds, patches, 64, 2)  # [5, 64, 2]
    for row in range(5):
        assert torch.equal(noise(seeds[row, None], patches[row, None], 64, 2)[0], together[row])
    assert len({tuple(row.flatten().tolist()) for row in together}) == 5
    correlation = torch.corrcoef(together.flatten(1)).fill_diagonal_(0)  # [5, 5]
    assert correlation.abs().max() < 0.4


def test_the_noise_of_a_seed_never_changes() -> None:
    """Users store seeds to get the same speech again."""
    drawn = Noise(CPU)(torch.tensor([2026]), torch.tensor([3]), 64, 4)[0]  # [64, 4]
    expected = torch.tensor([-0.616513, 0.240306, -0.014083, -1.144296])
    torch.testing.assert_close(drawn[0], expected, atol=2e-6, rtol=0)
