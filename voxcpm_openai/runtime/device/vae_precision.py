"""Whether the VAE's decoder may use float16: decided with the weights that were loaded.

Random weights change each sample by up to 1e-2 of full scale, trained ones less by an unknown
factor; numbers that float16 cannot hold count as a change, too.
"""

from __future__ import annotations

import logging

import torch

from voxcpm_openai.runtime.model.voxcpm import VoxCPM

logger = logging.getLogger(__name__)

MAX_CHANGE = 1e-3
"""The largest change of a sample, of full scale: -60 dB."""
SECONDS = 1.5
"""The length of the sound that is tried: a few patches."""


@torch.inference_mode()
def round_vae(model: VoxCPM) -> float:
    """Let float16 pass between the operators of the fused decoder if it changes a sound little.

    The sound is a sine that falls into noise.  Returns the largest change of a sample.
    """
    count = int(SECONDS * model.encoder_rate)
    time = torch.arange(count, device=model.device) / model.encoder_rate  # [N]
    noise = torch.randn(count, generator=torch.Generator().manual_seed(1))  # [N]
    fade = time / SECONDS  # [N]
    sine = torch.sin(2 * torch.pi * 440 * time)  # [N]
    sound = 0.5 * (1 - fade) * sine + 0.2 * fade * noise.to(model.device)  # [N]
    frames = model.encode(sound).flatten(0, 1).T[None]  # [1, C, T P]
    change = model.decoder.use_float16(MAX_CHANGE, frames)
    logger.info(
        "float16 changes the VAE's samples by up to %.1e of full scale: it is %s",
        change, "used" if change < MAX_CHANGE else "not used",
    )  # fmt: skip
    return change
