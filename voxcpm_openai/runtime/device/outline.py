"""A model without its weights, made from a configuration alone: what would be loaded, and where.

All its tensors are on the ``meta`` device, which stores shapes and dtypes only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from voxcpm_openai.runtime.device.loader import ARCHITECTURES
from voxcpm_openai.runtime.loading.shapes import ShapeRecorder, Shapes
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM, no_tokenizer


@dataclass(frozen=True)
class Outline:
    """The model, and the shapes of the tensors that it reads from a checkpoint's two files."""

    model: VoxCPM
    tensors: Shapes
    vae_tensors: Shapes


def outline(config: ModelConfig, dtype: torch.dtype) -> Outline:
    """Return the outline of a model in ``dtype``.

    Its VAE is float32, beside bfloat16 with products in TF32 as on a GPU.
    """
    tensors: Shapes = {}
    vae_tensors: Shapes = {}
    weights, vae = (
        ShapeRecorder(tensors, dtype=dtype),
        ShapeRecorder(vae_tensors, tf32=dtype == torch.bfloat16),
    )
    model = ARCHITECTURES[config.architecture](config, weights, vae, no_tokenizer, TorchOps())
    return Outline(model, tensors, vae_tensors)
