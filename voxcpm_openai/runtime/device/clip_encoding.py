"""Encodes a clip in parts, between the steps of the rows on a CPU.

The VAE's encoder is causal: its convolutions keep their past from part to part, so that the parts
together equal the whole within rounding.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.device.batch_inputs import PREFILLED, PrefillQueue
from voxcpm_openai.runtime.model.causal_conv import ConvState
from voxcpm_openai.runtime.model.state import KVPrefix, SpeakerPrompt
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2

T = TypeVar("T")
Parts = Generator[None, None, T]
"""Work that pauses after each part, and returns its result."""

ENCODED = 4
"""Patches of a part of the VAE's encoder."""
EMBEDDED = 16
"""Patches of a part of LocEnc."""

_ENDED = object()


class ClipEncoding:
    """The encoding of a clip, as ``runner_protocol.VoiceWork``; one thread runs its parts."""

    def __init__(self, parts: Iterator[None]) -> None:
        """``parts``: the work, which pauses after each of them."""
        self._parts = parts

    def run_part(self) -> bool:
        """Run the next part; return whether it was the last one."""
        with torch.inference_mode():
            return next(self._parts, _ENDED) is _ENDED


def latents_in_parts(model: VoxCPM, samples: Tensor) -> Parts[Tensor]:
    """Return the latents ``[T, P, C]`` of a clip ``samples [N]``, as ``VoxCPM.encode`` does."""
    encoder, patch_samples = model.encoder, model.config.patch_size * model.config.vae.encoder_hop
    missing = -len(samples) % patch_samples
    reference = isinstance(model, VoxCPM2)
    padded = F.pad(samples, (0, missing) if reference else (missing, 0))  # [T patch_samples]
    buffers = [torch.zeros(1, spec.channels, spec.past) for spec in encoder.specs]
    state = ConvState(buffers, slice(None))
    frames: list[Tensor] = []  # [1, C, n] each
    for part in torch.split(padded.float(), ENCODED * patch_samples):
        frames.append(encoder.layers(part[None, None], state))
        yield
    return torch.cat(frames, dim=-1)[0].T.reshape(-1, *model.latent_shape)  # [T, P, C]


def prompt_in_parts(model: VoxCPM, latents: Tensor) -> Parts[SpeakerPrompt]:
    """Return a prompt ``[T, P, C]`` encoded, as ``VoxCPM.prompt`` does."""
    tokens: list[Tensor] = []  # [n, W] each
    for part in torch.split(latents, EMBEDDED):
        tokens.append(model.local_encoder(part))
        yield
    last = model.prompt(latents[-model.context :])
    return replace(last, tokens=torch.cat(tokens))  # [T, W]


def prefix_in_parts(model: VoxCPM2, latents: Tensor) -> Parts[KVPrefix]:
    """Return a reference ``[T, P, C]`` prefilled, as ``VoxCPM2.prefix`` does."""
    slots = model.new_slots(1, len(latents) + 2)
    start, tokens, end, _ = model.begin(slots, 0, (), None, latents)  # the text is left out
    queue = PrefillQueue([start, tokens, end])
    while len(queue):
        yield
        model.prefill_next(slots, 0, queue.pop(PREFILLED))
    return slots.save(0)
