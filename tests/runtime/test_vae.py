"""The audio VAE against upstream's, and a stream against the whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from tests.runtime import tiny
from tests.runtime.clips import clip, normal
from tests.runtime.oracle import Oracle
from voxcpm_openai.runtime.model.voxcpm import VoxCPM


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_encoding_equals_upstreams(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str
) -> None:
    ours, theirs = model(kind), oracle(kind).model.audio_vae
    frames, channels = ours.latent_shape
    samples = clip(2.0, ours.encoder_rate)  # [N]
    latents = ours.encode(samples, reference=True)  # [T, P, C]
    with torch.inference_mode():
        expected = theirs.encode(samples[None], ours.encoder_rate)[0]  # [C, frames]
    got = latents.reshape(-1, channels).T[:, : expected.shape[1]]  # [C, frames]
    assert expected.abs().max() > 1
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    assert latents.shape == (-(-expected.shape[1] // frames), frames, channels)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_prompt_is_padded_in_front_and_a_reference_behind(
    model: Callable[[str], VoxCPM], kind: str
) -> None:
    ours = model(kind)
    whole = ours.patch_samples * ours.encoder_rate // ours.sample_rate
    samples = clip(0.5, ours.encoder_rate)[: 2 * whole - 5]  # [N]
    silence = torch.zeros(5)
    assert torch.equal(ours.encode(samples), ours.encode(torch.cat((silence, samples))))
    padded = ours.encode(torch.cat((samples, silence)))
    assert torch.equal(ours.encode(samples, reference=True), padded)
    assert ours.encode(samples[:whole]).shape[0] == 1


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_decoding_equals_upstreams_and_a_stream_the_whole(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str
) -> None:
    ours = model(kind)
    latents = normal(6, *ours.latent_shape, seed=3)  # [T, P, C]
    expected = oracle(kind).decode(latents)  # [N]
    slots = ours.new_slots(3, 8)
    whole = ours.decode(slots, [0], latents.flatten(0, 1)[None])[0]  # [N]
    # Two streams, one of which starts later, in slots that are no neighbours of one another.
    ours.decode(slots, [0], latents[:1])
    slots.reset(0)
    parts = [ours.decode(slots, [2], latents[:1])[0]]
    for before, patch in pairwise(latents):
        late, early = ours.decode(slots, [0, 2], torch.stack((before, patch)))
        parts.append(early)
    assert 0.1 < expected.abs().max() < 1
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(late, parts[-2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_clip_encoded_in_blocks_equals_the_clip_at_once(
    model: Callable[[str], VoxCPM], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = model(kind)
    samples = clip(1.0, ours.encoder_rate)  # [N]
    monkeypatch.setattr(ours.encoder, "block", 10**9)
    whole = ours.encode(samples)  # [T, P, C]
    monkeypatch.setattr(ours.encoder, "block", ours.config.vae.frame_in)
    torch.testing.assert_close(ours.encode(samples), whole, atol=1e-5, rtol=0)
