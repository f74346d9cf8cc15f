"""The audio VAE against upstream's, and a stream against one call."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.support.runtime.oracle import Oracle
from voxcpm_openai.runtime.device import vae_precision
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.loading.checkpoint import Checkpoint
from voxcpm_openai.runtime.model.causal_conv import PointwiseConv
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.model.vae import VAEDecoder
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import clip, normal


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_encoding_equals_upstream(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str
) -> None:
    ours, theirs = model(kind), oracle(kind).model.audio_vae
    frames, channels = ours.latent_shape
    samples = clip(2.0, ours.encoder_rate)  # [N]
    latents = ours.encode(samples, reference=True)  # [T, P, C]
    with torch.inference_mode():
        expected = theirs.encode(samples[None], ours.encoder_rate)[0]  # [C, frames]
    actual = latents.reshape(-1, channels).T[:, : expected.shape[1]]  # [C, frames]
    assert expected.abs().max() > 1
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)
    assert latents.shape == (-(-expected.shape[1] // frames), frames, channels)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_prompt_is_padded_at_its_start_and_a_reference_at_its_end(
    model: Callable[[str], VoxCPM], kind: str
) -> None:
    ours = model(kind)
    patch = ours.patch_samples * ours.encoder_rate // ours.sample_rate
    samples = clip(0.5, ours.encoder_rate)[: 2 * patch - 5]  # [N]
    silence = torch.zeros(5)
    assert torch.equal(ours.encode(samples), ours.encode(torch.cat((silence, samples))))
    padded = ours.encode(torch.cat((samples, silence)))
    assert torch.equal(ours.encode(samples, reference=True), padded)
    assert ours.encode(samples[:patch]).shape[0] == 1


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_decoding_equals_upstream_at_once_and_by_patches(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str
) -> None:
    ours = model(kind)
    latents = normal(6, *ours.latent_shape, seed=3)  # [T, P, C]
    expected = oracle(kind).decode(latents)  # [N]
    slots = ours.new_slots(3, 8)
    whole = ours.decode(slots, [0], latents.flatten(0, 1)[None])[0]  # [N]
    # Two streams in slots that are not adjacent; one starts later.
    ours.decode(slots, [0], latents[:1])
    slots.reset(0)
    parts = [ours.decode(slots, [2], latents[:1])[0]]
    for previous, patch in pairwise(latents):
        late, early = ours.decode(slots, [0, 2], torch.stack((previous, patch)))
        parts.append(early)
    assert 0.1 < expected.abs().max() < 1
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(late, parts[-2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_encoding_in_blocks_equals_encoding_at_once(
    model: Callable[[str], VoxCPM], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = model(kind)
    samples = clip(1.0, ours.encoder_rate)  # [N]
    monkeypatch.setattr(ours.encoder, "block", 10**9)
    whole = ours.encode(samples)  # [T, P, C]
    monkeypatch.setattr(ours.encoder, "block", ours.config.vae.encoder_hop)
    torch.testing.assert_close(ours.encode(samples), whole, atol=1e-5, rtol=0)


class FusedOps(TorchOps):
    """PyTorch's operators, called as the kernels of a GPU are."""

    fuses_vae = True


def decode(decoder: VAEDecoder, latents: torch.Tensor) -> torch.Tensor:
    """Decode two streams, of which one is a patch ahead; ``latents [T, P, C]``, ``[2, N]``."""
    buffers = [torch.zeros(3, *shape) for shape in decoder.conv_shapes]
    frames = latents.transpose(1, 2)  # [T, C, P]
    decoder(frames[:1], buffers, slice(2, 3))
    parts = [decoder(torch.stack(pair), buffers, torch.tensor([0, 2])) for pair in pairwise(frames)]
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_fused_operators_decode_as_the_layers_do(
    model: Callable[[str], VoxCPM], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = model(kind)
    latents = normal(4, *ours.latent_shape, seed=3)  # [T, P, C]
    with torch.inference_mode():
        expected = decode(ours.decoder, latents)
        monkeypatch.setattr(ours.decoder, "ops", FusedOps())
        actual = decode(ours.decoder, latents)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.fixture(name="load")
def _load(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, float], VoxCPM]:
    """Load a model whose VAE may round, as beside bfloat16 on a GPU, if it changes little."""

    def load(kind: str, bound: float) -> VoxCPM:
        real = Checkpoint.vae
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "vae", lambda own, device, **_: real(own, device, tf32=True))
            patch.setattr(vae_precision, "MAX_CHANGE", bound)
            ours = load_model(checkpoint(kind), "cpu", "float32")
        monkeypatch.setattr(ours.decoder, "ops", FusedOps())
        return ours

    return load


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_float16_changes_the_samples_little(
    load: Callable[[str, float], VoxCPM], model: Callable[[str], VoxCPM], kind: str
) -> None:
    rounded = load(kind, 1.0)
    assert rounded.decoder.fused.dtype == torch.float16
    latents = normal(4, *rounded.latent_shape, seed=3)  # [T, P, C]
    with torch.inference_mode():
        expected, actual = (decode(ours.decoder, latents) for ours in (model(kind), rounded))
    assert expected.abs().max() > 0.1
    assert 1e-5 < (actual - expected).abs().max() < 3e-3


def test_float16_is_used_only_where_it_changes_no_sample_by_a_thousandth(
    load: Callable[[str, float], VoxCPM],
) -> None:
    change = vae_precision.round_vae(load("voxcpm15", 1.0))
    assert 1e-5 < change < 1e-2
    dtypes = [load("voxcpm15", bound).decoder.fused.dtype for bound in (change / 2, change * 2)]
    assert dtypes == [torch.float32, torch.float16]
    assert vae_precision.MAX_CHANGE == 1e-3


def test_float16_is_not_used_for_weights_that_it_cannot_hold(
    load: Callable[[str, float], VoxCPM],
) -> None:
    decoder = load("voxcpm15", 0.0).decoder
    layers = [layer for layer in decoder.layers.layers if isinstance(layer, PointwiseConv)]
    layers[0].weight[0, 0] = 1e6
    with torch.inference_mode():
        change = decoder.use_float16(1.9, normal(1, 64, 4, seed=1))
    assert change > 1e-3
    assert decoder.fused.dtype == torch.float32


def test_the_vae_of_float32_rounds_nothing(model: Callable[[str], VoxCPM]) -> None:
    assert model("voxcpm15").decoder.fused.dtype == torch.float32
