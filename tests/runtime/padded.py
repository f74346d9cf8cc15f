"""A model whose batches all have one size, so that no product is rounded by who else is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tests.runtime.clips import normal
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

STEPS = (5, 10, 7, 10, 7, 10, 5, 10)
"""Of the solver, by slot: a row that needs fewer leaves the last evaluations to the others."""
LENGTH = 200


class Padded:
    """Steps every slot at every step: those that nobody uses go on with noise of their own.

    One more slot holds the longest row, so that attention too looks at as many positions each time.
    All else is the model's.
    """

    def __init__(self, model: VoxCPM) -> None:
        self._model = model
        self._all = range(len(STEPS) + 1)
        frames, channels = model.latent_shape
        self._noise = normal(len(self._all), channels, frames, seed=99)  # [S, C, P]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def full_slots(self) -> Slots:
        """Slots of which each has a row already; whoever comes takes its place."""
        slots = self._model.new_slots(len(self._all), LENGTH)
        for slot in self._all[:-1]:
            self._model.prefill(slots, slot, self._model.tokens("x"))
        self._model.prefill(slots, self._all[-1], self._model.tokens("x" * 150))
        return slots

    def step(
        self, slots: Slots, rows: Sequence[int], noise: Tensor, steps: Sequence[int], cfg: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As the model's."""
        rows = list(rows)
        assert list(steps) == [STEPS[row] for row in rows]
        noises, cfgs = self._noise.clone(), torch.full((len(self._all),), 2.0)  # [S, C, P], [S]
        noises[rows], cfgs[rows] = noise, cfg
        patches, ends = self._model.step(slots, self._all, noises, [*STEPS, 10], cfgs)
        self._patches = patches  # [S, P, C]
        return patches[rows], ends[rows]

    def decode(self, slots: Slots, rows: Sequence[int], latents: Tensor) -> Tensor:
        """As the model's; ``latents`` are those of the last step."""
        rows = list(rows)
        assert torch.equal(latents, self._patches[rows])
        return self._model.decode(slots, self._all, self._patches)[rows]  # [B, N]
