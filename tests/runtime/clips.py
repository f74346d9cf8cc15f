"""Sounds and noise for the tests, the same every time."""

from __future__ import annotations

import torch
from torch import Tensor


def clip(seconds: float, rate: int, seed: int = 1) -> Tensor:
    """A hum under noise, ``[N]``."""
    samples = int(seconds * rate)
    time = torch.arange(samples) / rate  # [N]
    hum = torch.sin(2 * torch.pi * (110 + 20 * seed) * time) * 0.3  # [N]
    return hum + normal(samples, seed=seed) * 0.1  # [N]


def normal(*shape: int, seed: int) -> Tensor:
    """Normal noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))  # shape
