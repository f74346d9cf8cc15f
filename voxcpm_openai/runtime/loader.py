"""A folder becomes a model."""

from __future__ import annotations

from pathlib import Path

import torch

from voxcpm_openai.runtime.checkpoint import Checkpoint
from voxcpm_openai.runtime.model import config
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
from voxcpm_openai.runtime.tokenizer import TextTokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}
ARCHITECTURES = {"voxcpm": VoxCPM, "voxcpm2": VoxCPM2}


def load_model(folder: Path, device: str, dtype: str) -> VoxCPM:
    """Load the checkpoint in ``folder``; what is missing or wrong in it is a ``CheckpointError``.

    ``device``: ``cpu``, ``cuda`` or ``cuda:1``.  ``dtype``: one of ``DTYPES``; the VAE is float32.
    ``int8``, on a CPU alone: the big products are made of 8-bit numbers, all else is float32.
    """
    checkpoint = Checkpoint(folder)
    parsed = config.parse(checkpoint.config())
    tokenizer = TextTokenizer(checkpoint.tokenizer())
    place = torch.device(device)
    weights = checkpoint.model(place, DTYPES[dtype], int8=dtype == "int8")
    vae = checkpoint.vae(place)
    return ARCHITECTURES[parsed.architecture](parsed, weights, vae, tokenizer)
