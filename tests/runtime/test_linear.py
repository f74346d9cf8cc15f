"""Linear layers: packed equals plain; 8-bit is close, and independent of other rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.support.runtime.cpu import needs_int8
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.loading.checkpoint import TensorFile, Weights
from voxcpm_openai.runtime.model import linear
from voxcpm_openai.runtime.model.linear import Int8, Packed, Plain, fused
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import Stream, alone, normal


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return normal(*shape, seed=seed)


def int8(weight: torch.Tensor, bias: torch.Tensor | None = None) -> Int8:
    return Int8(*Int8.quantized(weight), bias, TorchOps())


@pytest.mark.parametrize("rows", [1, 2, 18, 150])
@pytest.mark.parametrize("biased", [True, False])
def test_a_packed_product_equals_the_plain_one(rows: int, biased: bool) -> None:
    weight, bias = drawn(96, 64), drawn(96) if biased else None
    x = drawn(rows, 3, 64, seed=1)
    exact = Plain(weight, bias)(x)
    assert torch.allclose(Packed(weight, bias)(x), exact, atol=1e-4)


def test_a_packed_product_accepts_a_view() -> None:
    weight, x = drawn(96, 64), drawn(2, 64, 5, seed=1).transpose(1, 2)
    assert torch.allclose(Packed(weight, None)(x), Plain(weight, None)(x), atol=1e-4)


@needs_int8
@pytest.mark.parametrize("rows", [1, 18, 150])
def test_an_8_bit_product_is_within_two_percent(rows: int) -> None:
    weight, bias, x = drawn(96, 64), drawn(96), drawn(rows, 64, seed=1)
    exact = Plain(weight, bias)(x)
    assert (int8(weight, bias)(x) - exact).norm() < 0.02 * exact.norm()


@needs_int8
def test_an_8_bit_row_does_not_depend_on_a_much_louder_one() -> None:
    product = int8(drawn(96, 64))
    quiet, loud = drawn(1, 64, seed=1), 1000 * drawn(17, 64, seed=2)
    assert torch.equal(product(torch.cat((quiet, loud)))[:1], product(quiet))


@needs_int8
def test_8_bit_zeros_stay_zeros() -> None:
    assert torch.equal(
        int8(drawn(96, 64))(torch.zeros(2, 64)),
        torch.zeros(2, 96),
    )


def test_int8_is_refused_without_exact_8_bit_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"o_proj.weight": drawn(8, 8)}, tmp_path / "one.safetensors")
    file = TensorFile(tmp_path / "one.safetensors")
    weights = Weights(file, torch.device("cpu"), torch.float32, int8=True)
    monkeypatch.setattr(linear, "multiplies_int8", lambda: False)
    with pytest.raises(StartError, match="VOXCPM_DTYPE"):
        fused(weights, {"o_proj": 8}, 8, TorchOps())


@needs_int8
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_an_int8_model_makes_nearly_the_same_patch(
    checkpoint: Callable[[str], Path], model: Callable[[str], VoxCPM], kind: str
) -> None:
    stream = Stream("the hello", patches=1)
    exact = alone(model(kind), stream).latents
    approximate = alone(load_model(checkpoint(kind), "cpu", "int8"), stream).latents
    assert 0 < (approximate - exact).norm() < 0.1 * exact.norm()
