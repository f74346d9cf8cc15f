"""A folder becomes a model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.checkpoint import Checkpoint
from voxcpm_openai.runtime.model import config
from voxcpm_openai.runtime.model.ops import Ops, TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
from voxcpm_openai.runtime.tokenizer import TextTokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}
ARCHITECTURES = {"voxcpm": VoxCPM, "voxcpm2": VoxCPM2}


def load_model(folder: Path, device: str, dtype: str, kernels: str = "torch") -> VoxCPM:
    """Load the checkpoint in ``folder``; what is missing or wrong in it is a ``CheckpointError``.

    ``device``: ``cpu``, ``cuda`` or ``cuda:1``.  ``dtype``: one of ``DTYPES``; the VAE is float32.
    ``int8``, on a CPU alone: the big products are made of 8-bit numbers, all else is float32.
    ``kernels``: ``torch``, or on a GPU alone ``triton``.  Raises StartError where that cannot be.
    """
    checkpoint = Checkpoint(folder)
    parsed = config.parse(checkpoint.config())
    tokenizer = TextTokenizer(checkpoint.tokenizer())
    place = torch.device(device)
    ops = _triton_ops(place) if kernels == "triton" else TorchOps()
    weights = checkpoint.model(place, DTYPES[dtype], ops, int8=dtype == "int8")
    vae = checkpoint.vae(place, ops)
    return ARCHITECTURES[parsed.architecture](parsed, weights, vae, tokenizer)


def _triton_ops(device: torch.device) -> Ops:
    """Triton is imported here and not before: it is large, and only a GPU has a use for it."""
    if device.type != "cuda":
        raise StartError(
            f"VOXCPM_KERNELS=triton needs a CUDA device; the model is to run on {device}. "
            "Leave it at torch."
        )
    if find_spec("triton") is None:
        raise StartError(
            "VOXCPM_KERNELS=triton needs the package triton, which PyTorch's CUDA builds bring; "
            "it is not installed. Leave it at torch."
        )
    from voxcpm_openai.runtime.kernels.ops import TritonOps

    return TritonOps()
