"""The audio VAE against upstream's, and a stream against one call."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from tests.support.runtime.oracle import Oracle
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
