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
from voxcpm_openai.runtime.model.config import parse
from voxcpm_openai.runtime.model.ops import Rope, rotate
from voxcpm_openai.runtime.model.transformer import _rope
from voxcpm_openai.testing import tiny_checkpoints as tiny

FACTORS = {}
FACTORS["voxcpm2"] = [
    0.9977997200264581, 1.014658295992452, 1.0349680404997148, 1.059429246056193,
    1.0888815016813513, 1.1243301355211495, 1.166977103606075, 1.2182568066927284,
    1.2798772354275727, 1.3538666751582975, 1.4426259039919596, 1.5489853358570191,
    1.6762658237220625, 1.8283407612492941, 2.0096956085876183, 2.225478927469756,
    2.481536379650452, 2.784415934557119, 3.1413289096347365, 3.560047844772632,
    4.048719380066383, 4.615569542115128, 5.2684819496549835, 6.014438591970396,
    6.858830049237097, 7.804668263503327, 8.851768731513417, 9.99600492938444,
    11.228766118181639, 12.536757560834843, 13.902257701387796, 15.303885189125953,
    16.717837610115794, 18.119465097853947, 19.484965238406907, 20.792956681060105,
    22.02571786985731, 23.16995406772833, 24.217054535738416, 25.16289275000465,
    26.007284207271347, 26.753240849586767, 27.40615325712662, 27.973003419175363,
    28.461674954469114, 28.880393889607006, 29.237306864684626, 29.540186419591297,
    29.79624387177199, 30.01202719065413, 30.193382037992453, 30.34545697551969,
    30.47273746338473, 30.579096895249787, 30.66785612408345, 30.741845563814174,
    30.80346599254902, 30.85474569563567, 30.897392663720595, 30.932841297560394,
    30.962293553185553, 30.986754758742034, 31.007064503249293, 31.02392307921529,
]  # fmt: skip
FACTORS["voxcpm05b"] = [
    1.0004360675811768, 1.0668443441390991, 1.1631425619125366, 1.3025742769241333,
    1.5040205717086792, 1.7941505908966064, 2.2101221084594727, 2.802666664123535,
    3.6389970779418945, 4.804192543029785, 6.39855432510376, 8.527148246765137,
    11.277542114257812, 14.684998512268066, 18.69317054748535, 23.13019371032715,
    27.72362518310547, 32.1606559753418, 36.168827056884766, 39.57627868652344,
    42.32667541503906, 44.45526885986328, 46.04962921142578, 47.21482849121094,
    48.05115509033203, 48.64370346069336, 49.05967712402344, 49.34980392456055,
    49.551246643066406, 49.69068145751953, 49.78697967529297, 49.85338592529297,
]  # fmt: skip
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
