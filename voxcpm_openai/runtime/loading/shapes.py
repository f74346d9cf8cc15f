"""Weights without data: the names and shapes of the tensors that a model would load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from voxcpm_openai.runtime.loading.checkpoint import TensorFile, Weights

Shapes = dict[str, tuple[int, ...]]
"""The shapes of tensors by their names in a checkpoint's file."""


class ShapeRecorder(Weights):
    """Records the shapes of the tensors that a model loads, and returns meta tensors."""

    def __init__(
        self,
        shapes: Shapes,
        prefix: str = "",
        dtype: torch.dtype = torch.float32,
        *,
        tf32: bool = False,
    ) -> None:
        """``shapes``: where they are recorded; ``dtype``: of the tensors that are returned."""
        # Without a file: `fused`, the only method that reads one, is replaced.
        super().__init__(cast("TensorFile", None), torch.device("meta"), dtype, prefix, tf32=tf32)
        self.shapes = shapes

    def under(self, name: str) -> ShapeRecorder:
        """Return a recorder of the names under ``name``."""
        prefix = f"{self.prefix}{name}."
        return ShapeRecorder(self.shapes, prefix, self.dtype, tf32=self.tf32)

    def fused(self, parts: Mapping[str, int], *shape: int) -> Tensor:
        """Record each part; return the fused tensor without data."""
        for name, rows in parts.items():
            self.shapes[self.prefix + name] = (rows, *shape)
        return torch.empty(
            sum(parts.values()), *shape, device=self.device, dtype=self.dtype
        )  # [sum of parts, *shape]
