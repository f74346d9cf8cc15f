"""Random weights: a model of any size without a checkpoint, to try it or to measure its speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from voxcpm_openai.runtime.loading.checkpoint import TensorFile, Weights


class RandomWeights(Weights):
    """Draws each tensor when a model asks for it."""

    def __init__(
        self,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        prefix: str = "",
        *,
        tf32: bool = False,
    ) -> None:
        """``generator``: its device is that of the tensors; ``dtype``: theirs."""
        # Without a file: `fused`, the only method that reads one, is replaced.
        super().__init__(cast("TensorFile", None), generator.device, dtype, prefix, tf32=tf32)
        self.generator = generator

    def under(self, name: str) -> RandomWeights:
        """Return the weights of the names under ``name``."""
        prefix = f"{self.prefix}{name}."
        return RandomWeights(self.generator, self.dtype, prefix, tf32=self.tf32)

    def fused(self, parts: Mapping[str, int], *shape: int) -> Tensor:
        """Return a random tensor of the joined shape of the parts."""
        drawn = [
            draw(self.prefix + name, (rows, *shape), self.generator) for name, rows in parts.items()
        ]
        return torch.cat(drawn).to(self.dtype)  # [sum of parts, *shape]


def draw(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return a random tensor that roughly preserves the scale of activations.

    The stop head is zero, so that no speech ends by itself.
    """
    mean, std = 0.0, 1.0
    if name == "stop_head.weight":
        return torch.zeros(shape, device=generator.device)  # shape
    if name.endswith("block.3.weight_g"):  # the output of a residual unit
        mean, std = 0.2, 0.02
    elif name.endswith(("alpha", "weight_g", "norm.weight", "scale_embed.weight")):
        mean, std = 1.0, 0.1
    elif name.endswith("bias"):
        std = 0.1
    elif name.endswith(".weight"):
        std = shape[-1] ** -0.5
    drawn = torch.randn(shape, generator=generator, device=generator.device)  # shape
    return drawn.mul_(std).add_(mean)  # shape
