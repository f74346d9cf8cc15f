"""Whether the VAE's decoder may use 16 bits: decided with the weights that were loaded.

On a GPU float16 beside products in TF32; on a CPU bfloat16, whose products are twice as fast.

Random weights change each sample by up to 1e-2 of full scale, trained ones less by an unknown
factor; numbers that float16 cannot hold count as a change, too.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.ops import Ops
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

logger = logging.getLogger(__name__)

MAX_CHANGE = 1e-3
"""The largest change of a sample, of full scale: -60 dB."""
SECONDS, CPU_SECONDS = 1.5, 0.4
"""The length of the sound that is tried: a few patches."""
MIN_RATIO = 36.0
"""The least ratio of the samples to the change by bfloat16, in dB; random weights have 41."""


@torch.inference_mode()
def round_vae(model: VoxCPM) -> float:
    """Let float16 pass between the operators of the fused decoder if it changes a sound little.

    Returns the largest change of a sample.
    """
    frames = _frames(model, SECONDS)  # [1, C, T P]
    change = model.decoder.use_float16(MAX_CHANGE, frames)
    logger.info(
        "float16 changes the VAE's samples by up to %.1e of full scale: it is %s",
        change, "used" if change < MAX_CHANGE else "not used",
    )  # fmt: skip
    return change


@torch.inference_mode()
def round_vae_on_cpu(model: VoxCPM, ops: Ops) -> float:
    """Let bfloat16 pass between the operators ``ops`` of the fused decoder, as above.

    Returns the ratio of the samples to their change in dB.
    """
    ratio = model.decoder.use_bfloat16(MIN_RATIO, _frames(model, CPU_SECONDS), ops)
    logger.info(
        "bfloat16 changes the VAE's samples by %.0f dB less than they are: it is %s",
        ratio, "used" if ratio >= MIN_RATIO else "not used",
    )  # fmt: skip
    return ratio


def _frames(model: VoxCPM, seconds: float) -> Tensor:
    """Return the latents ``[1, C, T P]`` of a sine that falls into noise."""
    count = int(seconds * model.encoder_rate)
    time = torch.arange(count, device=model.device) / model.encoder_rate  # [N]
    noise = torch.randn(count, generator=torch.Generator().manual_seed(1))  # [N]
    fade = time / seconds  # [N]
    sine = torch.sin(2 * torch.pi * 440 * time)  # [N]
    sound = 0.5 * (1 - fade) * sine + 0.2 * fade * noise.to(model.device)  # [N]
    return model.encode(sound).flatten(0, 1).T[None]  # [1, C, T P]
