"""Rotary positions with the factors of the published checkpoints, which are far from 1.

VoxCPM2 has heads of 128 numbers and so 64 factors, VoxCPM-0.5B has 32; both have the same for short
and long sequences.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch

from tests.runtime.conftest import UPSTREAM, require
from voxcpm_openai.runtime.loading.published import FACTORS_32, FACTORS_64
from voxcpm_openai.runtime.model.config import parse
from voxcpm_openai.runtime.model.ops import Rope, rotate
from voxcpm_openai.runtime.model.transformer import _rope
from voxcpm_openai.testing import tiny_checkpoints as tiny

FACTORS = {"voxcpm2": list(FACTORS_64), "voxcpm05b": list(FACTORS_32)}
POSITIONS = 1024
kinds = pytest.mark.parametrize("kind", FACTORS)


def language_model(kind: str, factors: list[float]) -> dict[str, Any]:
    """Return the ``lm_config`` of a model, as far as its rotary positions go."""
    lm: dict[str, Any] = tiny.make_config(kind)["lm_config"]
    return lm | {
        "kv_channels": 2 * len(factors),
        "rope_theta": 10_000,
        "max_position_embeddings": 32_768,
        "rope_scaling": {
            "type": "longrope",
            "long_factor": factors,
            "short_factor": factors,
            "original_max_position_embeddings": 32_768,
        },
    }


def tables(kind: str, factors: list[float]) -> Rope:
    """Return our cosines and sines."""
    config = tiny.make_config(kind) | {"lm_config": language_model(kind, factors)}
    for part in ("encoder_config", "dit_config"):
        config[part]["kv_channels"] = 2 * len(factors)
    rope = parse(config).base.rope
    assert rope is not None
    return _rope(rope, 2 * len(factors), POSITIONS, torch.device("cpu"))


@kinds
def test_each_frequency_has_its_factor(kind: str) -> None:
    """Against the formula in double precision."""
    factors = FACTORS[kind]
    ours, half = tables(kind, factors), len(factors)
    assert half == {"voxcpm2": 64, "voxcpm05b": 32}[kind]
    assert ours.cos.shape == (POSITIONS, 2 * half)
    for position in (1, 5, 300, POSITIONS - 1):
        for i in range(half):
            angle = position / factors[i] / 10_000 ** (i / half)
            for place, sign in ((i, -1), (half + i, 1)):
                assert ours.cos[position, place] == pytest.approx(math.cos(angle), abs=1e-4)
                assert ours.sin[position, place] == pytest.approx(sign * math.sin(angle), abs=1e-4)


@kinds
def test_the_factors_matter(kind: str) -> None:
    """With factors of 1, as benchmark checkpoints have them, the positions are other ones."""
    factors = FACTORS[kind]
    ones = tables(kind, [1.0] * len(factors))
    assert (tables(kind, factors).cos[300] - ones.cos[300]).abs().max() > 0.5


@kinds
def test_rotated_heads_equal_upstreams(kind: str) -> None:
    require(*UPSTREAM)
    importlib.import_module("tests.support.runtime.oracle")  # replaces what the package lacks
    from voxcpm.modules.minicpm4.config import MiniCPM4Config
    from voxcpm.modules.minicpm4.model import MiniCPMLongRoPE, apply_rotary_pos_emb

    factors = FACTORS[kind]
    theirs = MiniCPMLongRoPE(MiniCPM4Config(**language_model(kind, factors)))
    positions = torch.arange(POSITIONS)
    seeded = torch.Generator().manual_seed(1)
    q, k = torch.randn(2, 1, 2, POSITIONS, 2 * len(factors), generator=seeded)  # [1, H, T, D] each
    expected = apply_rotary_pos_emb(q, k, *theirs(positions))  # [1, H, T, D] each
    ours = tables(kind, factors).at(positions)  # [T, 1, D] each
    for heads, rotated in zip((q, k), expected, strict=True):
        actual = rotate(heads.transpose(1, 2), *ours).transpose(1, 2)  # [1, H, T, D]
        torch.testing.assert_close(actual, rotated, atol=1e-6, rtol=0)
