"""Steps the rows of a model in batches of exactly these rows, as suits a CPU.

It has the methods of ``cuda_graphs.GraphRunner`` that begin and launch.  Prompts are read before a
row's first step, in parts if the listener does not wait yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from voxcpm_openai.runtime.device.batch_inputs import PREFILLED, PrefillQueue
from voxcpm_openai.runtime.engine.runner_protocol import FinishedStep
from voxcpm_openai.runtime.engine.thread_count import ThreadCount
from voxcpm_openai.runtime.model.noise import Noise
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import SequencePart, VoxCPM


@dataclass(slots=True)
class _Row:
    """The parameters of a slot's job, the rest of its prompt, and the number of its patches."""

    seed: int
    cfg: float
    steps: int
    prompt: PrefillQueue
    patches: int = 0


class UnpaddedRunner:
    """Steps the rows of a model."""

    def __init__(self, model: VoxCPM, slots: Slots, threads: ThreadCount | None) -> None:
        """``threads``: those of a step; without it they stay as they are."""
        self._model = model
        self._slots = slots
        self._threads = threads
        self._noise = Noise(model.device)
        self._rows: dict[int, _Row] = {}
        frames, channels = model.latent_shape
        self.latents = torch.zeros(0, frames, channels)
        """The patches of the last step, ``[B, P, C]``."""

    def begin(
        self, slot: int, parts: Sequence[SequencePart], *, seed: int, cfg: float, steps: int
    ) -> None:
        """Set the parameters of a slot's job, and the parts to prefill."""
        self._rows[slot] = _Row(seed, cfg, steps, PrefillQueue(parts))

    def read(self, slot: int, *, whole: bool) -> bool:
        """Prefill the next part of a slot's prompt, or all of it; return whether that is all."""
        prompt = self._rows[slot].prompt
        if parts := prompt.pop(len(prompt) if whole else PREFILLED):
            self._model.prefill_next(self._slots, slot, parts)
        return not len(prompt)

    def launch(self, slots: Sequence[int]) -> FinishedStep:
        """Run a step of these rows; prompts that are not read to the end are read before."""
        rows = [self._rows[slot] for slot in slots]
        for slot in slots:
            self.read(slot, whole=True)
        kind = (len(rows), sum(row.steps for row in rows))
        with nullcontext() if self._threads is None else self._threads.step(kind):
            return self._step(slots, rows)

    def _step(self, slots: Sequence[int], rows: Sequence[_Row]) -> FinishedStep:
        frames, channels = self._model.latent_shape
        seeds, numbers, cfg = (
            torch.tensor(values).to(self._model.device, non_blocking=True)
            for values in (
                [row.seed for row in rows],
                [row.patches for row in rows],
                [row.cfg for row in rows],
            )
        )  # [B] each
        noise = self._noise(seeds, numbers, channels, frames)  # [B, C, P]
        self.latents, stop_flags = self._model.step(
            self._slots, slots, noise, [row.steps for row in rows], cfg
        )  # [B, P, C], [B]
        samples = self._model.decode(self._slots, slots, self.latents)  # [B, patch_samples]
        for row in rows:
            row.patches += 1
        audio = [np.array(row) for row in samples.cpu().numpy()]
        return FinishedStep(slots, list(zip(stop_flags.tolist(), audio, strict=True)))
