"""The memory of a GPU: how many slots fit beside the model."""

from __future__ import annotations

import logging

import torch

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

logger = logging.getLogger(__name__)

RESERVE = 3 * 2**30
"""Bytes that no slot gets: for graphs, voices, and texts while they are read."""
AT_WORK = 8 * 2**20
"""Bytes that a row needs while it is stepped, most of them in the VAE's decoder."""
GIB = 2**30


def slot_bytes(model: VoxCPM, length: int) -> int:
    """Return the bytes of a slot with so many positions."""
    nowhere = torch.device("meta")
    return Slots(model.config, model.decoder.memory, 1, length, nowhere, model.dtype).bytes


def slots_that_fit(model: VoxCPM, length: int, most: int) -> int:
    """Return how many slots fit into what is free on the model's GPU, ``most`` at most.

    Graphs' spare slot is not among them.  Raises StartError where there is no room for one.
    """
    free, _ = torch.cuda.mem_get_info(model.device)
    size = slot_bytes(model, length)
    fit = (free - RESERVE - size) // (size + AT_WORK)
    if fit < 1:
        raise StartError(
            f"{free / GIB:.1f} GiB are free on {model.device} beside the model; speech needs "
            f"{(RESERVE + 2 * size + AT_WORK) / GIB:.1f} GiB. Free some, or set VOXCPM_MODEL to a "
            "smaller model."
        )
    slots = min(fit, most)
    logger.info(
        "%d slots of %d positions: %.1f GiB of the %.1f GiB that are free on %s",
        slots, length, slots * size / GIB, free / GIB, model.device,
    )  # fmt: skip
    return slots
