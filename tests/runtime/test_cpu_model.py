"""Models on the operators in C++: against PyTorch's, and against upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.support.runtime.cpp import cpp_ops
from tests.support.runtime.cpu import needs_int8
from tests.support.runtime.oracle import Oracle
from voxcpm_openai.runtime.device import cpu_operators, vae_precision
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.model.causal_conv import ResidualUnit
from voxcpm_openai.runtime.model.cpu.cpu_ops import CpuOps
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import Stream, alone, clip

TEXT = "the hello 你好世界 12"
PROMPT_TEXT = "the prompt. "


@pytest.fixture(scope="module", name="cpp")
def _cpp(tmp_path_factory: pytest.TempPathFactory) -> CpuOps:
    return cpp_ops(tmp_path_factory)


@pytest.fixture(name="fused")
def _fused(model: Callable[[str], VoxCPM], cpp: CpuOps) -> Iterator[Callable[[str], VoxCPM]]:
    """The shared model of a kind, with the operators in C++ for a test."""
    used: list[VoxCPM] = []

    def get(kind: str) -> VoxCPM:
        used.append(model(kind))
        used[-1].use(cpp)
        return used[-1]

    yield get
    for one in used:
        one.use(TorchOps())


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_stream_equals_that_on_pytorchs_operators(
    fused: Callable[[str], VoxCPM], cpp: CpuOps, kind: str
) -> None:
    ours = fused(kind)
    stream = Stream(PROMPT_TEXT + TEXT, prompt=ours.encode(clip(0.71, ours.encoder_rate, 1)))
    actual = alone(ours, stream)
    ours.use(TorchOps())
    expected = alone(ours, stream)
    torch.testing.assert_close(actual.latents, expected.latents, atol=1e-5, rtol=0)
    torch.testing.assert_close(actual.samples, expected.samples, atol=1e-5, rtol=0)
    assert actual.stop_flags == expected.stop_flags


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_stream_equals_upstream(
    fused: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str, prompted: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    ours, theirs = fused(kind), oracle(kind)
    prompt = clip(0.71, ours.encoder_rate, 1) if prompted else None
    cache = theirs.prompt(tmp_path, PROMPT_TEXT, prompt, None)
    stream = Stream(
        text=PROMPT_TEXT + TEXT if prompted else TEXT,
        prompt=None if prompt is None else ours.encode(prompt),
    )
    output = alone(ours, stream)
    latents, stop_flags = theirs.generate(TEXT, cache, stream.noise(ours), stream.steps, stream.cfg)
    torch.testing.assert_close(output.latents, latents, atol=1e-4, rtol=0)
    assert output.stop_flags == stop_flags
    context = latents[:0] if prompt is None else ours.encode(prompt)[-ours.context :]
    decoded = theirs.decode(torch.cat((context, latents)))[len(context) * ours.patch_samples :]
    torch.testing.assert_close(output.samples, decoded, atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("int8", marks=needs_int8)])
def test_a_rounded_patch_is_as_near_to_float32_as_on_pytorchs_operators(
    checkpoint: Callable[[str], Path], model: Callable[[str], VoxCPM], cpp: CpuOps, dtype: str
) -> None:
    exact = alone(model("voxcpm15"), Stream(TEXT, patches=1)).latents
    ours = load_model(checkpoint("voxcpm15"), "cpu", dtype)
    errors = []
    for ops in (TorchOps(), cpp):
        ours.use(ops)
        errors.append((alone(ours, Stream(TEXT, patches=1)).latents - exact).norm() / exact.norm())
    assert errors[1] < 1.2 * errors[0] + 1e-3


@pytest.fixture(name="use")
def _use(
    checkpoint: Callable[[str], Path], cpp: CpuOps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., VoxCPM]:
    """Load a model as a start on a CPU does; ``least``: the ratio that its VAE must keep."""

    def use(dtype: str, least: float, *, fast: bool = True) -> VoxCPM:
        monkeypatch.setattr(vae_precision, "MIN_RATIO", least)
        monkeypatch.setattr(cpu_operators, "choose_ops", lambda *_: cpp)
        ours = load_model(checkpoint("voxcpm15"), "cpu", dtype)
        cpu_operators.use_cpu_operators(ours, "auto", tmp_path, "bfloat16" if fast else "float32")
        return ours

    return use


def test_the_vae_rounds_beside_bfloat16_if_it_changes_little(use: Callable[..., VoxCPM]) -> None:
    assert vae_precision.MIN_RATIO == 36
    assert use("bfloat16", 30).decoder.fused.dtype == torch.bfloat16
    assert use("bfloat16", 60).decoder.fused.dtype == torch.float32


def test_the_vae_rounds_nothing_beside_float32_or_on_a_slow_cpu(use: Callable[..., VoxCPM]) -> None:
    assert use("float32", 0).decoder.fused.dtype == torch.float32
    assert use("bfloat16", 0, fast=False).decoder.fused.dtype == torch.float32


def test_weights_that_are_not_finite_are_no_reason_to_round(use: Callable[..., VoxCPM]) -> None:
    decoder = use("float32", 0).decoder
    unit = decoder.layers.layers[-3]
    assert isinstance(unit, ResidualUnit)
    unit.pointwise.weight[0, 0] = torch.nan
    with torch.inference_mode():
        ratio = decoder.use_bfloat16(0.0, torch.zeros(1, 64, 4), decoder.ops)
    assert ratio == -torch.inf
    assert decoder.fused.dtype == torch.float32


def test_a_rounded_vae_speaks_in_patches_as_at_once(use: Callable[..., VoxCPM]) -> None:
    ours = use("bfloat16", 0)
    latents = torch.randn(3, *ours.latent_shape, generator=torch.Generator().manual_seed(1))
    frames = latents.flatten(0, 1).T[None]  # [1, C, T P]
    with torch.inference_mode():
        slots = ours.new_slots(2, 4)
        parts = [ours.decode(slots, [0], patch[None]) for patch in latents]
        whole = ours.decoder(frames, slots.conv_state, slice(1, 2))
    change = torch.cat(parts, dim=1) - whole
    assert change.norm() < 1e-2 * whole.norm()
