"""The memory of a GPU: how many slots fit beside the model."""

from __future__ import annotations

import logging

import torch

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

logger = logging.getLogger(__name__)

RESERVED_BYTES = 3 * 2**30
"""Memory kept free of slots: for graphs, voices, and the activations of a prefill."""
STEP_BYTES = 8 * 2**20
"""Memory of a row during a step, most of it in the VAE's decoder."""
GIB = 2**30


def slot_bytes(model: VoxCPM, length: int) -> int:
    """Return the bytes of a slot with ``length`` positions."""
    meta = torch.device("meta")
    return Slots(model.config, model.decoder.conv_shapes, 1, length, meta, model.dtype).bytes


def slots_that_fit(model: VoxCPM, length: int, most: int) -> int:
    """Return how many slots fit into the free memory of the model's GPU, at most ``most``.

    The padding slot is not counted.  Raises StartError if there is no memory for one slot.
    """
    free, _ = torch.cuda.mem_get_info(model.device)
    size = slot_bytes(model, length)
    fit = (free - RESERVED_BYTES - size) // (size + STEP_BYTES)
    if fit < 1:
        raise StartError(
            f"{free / GIB:.1f} GiB are free on {model.device} beside the model; speech needs "
            f"{(RESERVED_BYTES + 2 * size + STEP_BYTES) / GIB:.1f} GiB. Free some, or set "
            "VOXCPM_MODEL to a smaller model."
        )
    slots = min(fit, most)
    logger.info(
        "%d slots of %d positions: %.1f GiB of the %.1f GiB that are free on %s",
        slots, length, slots * size / GIB, free / GIB, model.device,
    )  # fmt: skip
    return slots
