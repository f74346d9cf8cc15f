"""A model whose batches all have one size, so that rounding does not depend on other rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.streams import normal

STEPS = (5, 10, 7, 10, 7, 10, 5, 10)
"""Solver steps by slot; rows with fewer steps skip the last evaluations."""
LENGTH = 200


class Padded:
    """Steps all slots at every step; unused ones advance with noise of their own.

    One more slot holds the longest row, so that attention always has the same length.  All other
    attributes are the model's.
    """

    def __init__(self, model: VoxCPM) -> None:
        self._model = model
        self._all = range(len(STEPS) + 1)
        frames, channels = model.latent_shape
        self._noise = normal(len(self._all), channels, frames, seed=99)  # [S, C, P]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def full_slots(self) -> Slots:
        """Return slots that all have a row, which a new stream replaces."""
        slots = self._model.new_slots(len(self._all), LENGTH)
        for slot in self._all[:-1]:
            self._model.prefill(slots, slot, self._model.tokens("x"))
        self._model.prefill(slots, self._all[-1], self._model.tokens("x" * 150))
        return slots

    def step(
        self, slots: Slots, rows: Sequence[int], noise: Tensor, steps: Sequence[int], cfg: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Step all slots; return these rows."""
        rows = list(rows)
        assert list(steps) == [STEPS[row] for row in rows]
        all_noise = self._noise.clone()  # [S, C, P]
        all_cfg = torch.full((len(self._all),), 2.0)  # [S]
        all_noise[rows], all_cfg[rows] = noise, cfg
        patches, stop_flags = self._model.step(slots, self._all, all_noise, [*STEPS, 10], all_cfg)
        self._patches = patches  # [S, P, C]
        return patches[rows], stop_flags[rows]

    def decode(self, slots: Slots, rows: Sequence[int], latents: Tensor) -> Tensor:
        """Decode all slots; ``latents`` are those of these rows in the last step."""
        rows = list(rows)
        assert torch.equal(latents, self._patches[rows])
        return self._model.decode(slots, self._all, self._patches)[rows]  # [B, N]
