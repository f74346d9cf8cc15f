"""A step as two pieces over fixed buffers: what a CUDA graph can hold, and replay.

    hear     the last patch of some rows, and texts that are read beside: LocEnc, both language
             models, the stop head
    speak    the next patch of some rows: noise, LocDiT, the VAE

A piece reads and writes the same tensors each time and asks the host for nothing: which rows it is
for, where they stand and what their jobs want lie on the device.  What it depends on beside these
is in its name: the number of rows, the positions that it looks at, the evaluations of LocDiT.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.landing import Landing
from voxcpm_openai.runtime.model.flow import Grids
from voxcpm_openai.runtime.model.state import Slots, Texts
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.orders import Orders

EVALUATIONS = 96
"""The most that a row may have: those of 100 steps, the most that a request may ask for."""


class Hear(NamedTuple):
    """The piece for so many rows and ``tokens`` of texts, at positions below ``span``."""

    rows: int
    tokens: int
    span: int


class Speak(NamedTuple):
    """The piece for so many rows, none of them with more evaluations."""

    rows: int
    evaluations: int


Piece = Hear | Speak


class Pieces:
    """The buffers, and the pieces on them.  ``slots``: the last one is spare, nobody's."""

    def __init__(self, model: VoxCPM, slots: Slots) -> None:
        self._model, self._slots = model, slots
        self._noise = model.ops.noise(model.device)
        count, most, device = slots.count, slots.count - 1, model.device
        # What each job wants, and how many patches it has, by slot.
        self._seeds = torch.zeros(count, device=device, dtype=torch.int64)  # [S]
        self._patches = torch.zeros(count, device=device, dtype=torch.int64)  # [S]
        self._cfg = torch.zeros(count, device=device)  # [S]
        width = model.config.dit.width
        self._times = torch.zeros(count, EVALUATIONS, width, device=device, dtype=model.dtype)
        self._strides = torch.zeros(count, EVALUATIONS, device=device)  # [S, E], 0: stand still
        self.orders = Orders(most, model.config.base.width, device, model.dtype)
        # What the last step made.
        frames, channels = model.latent_shape
        self.latents = torch.zeros(most, frames, channels, device=device)  # [B, P, C]
        self.landing = Landing(most, slots.stops, model.patch_samples)

    @torch.inference_mode()
    def begin(self, slot: int, *, seed: int, cfg: float, steps: int) -> int:
        """Note what the job in a slot wants; return its evaluations.  Raises InvalidRequest."""
        schedule = self._model.flow.prepare(steps)
        evaluations = len(schedule.strides)
        if evaluations > EVALUATIONS:
            raise InvalidRequest(
                f"inference_steps = {steps}: 100 is the most.", param="inference_steps"
            )
        self._seeds[slot].fill_(seed)
        self._patches[slot].zero_()
        self._cfg[slot].fill_(cfg)
        self._times[slot, :evaluations] = schedule.times  # [E, W']
        self._strides[slot, :evaluations] = schedule.strides  # [E]
        self._strides[slot, evaluations:].zero_()
        return evaluations

    @torch.inference_mode()
    def run(self, piece: Piece) -> None:
        """Run a piece, operator by operator: the twin of its graph."""
        if isinstance(piece, Hear):
            self._hear(piece)
        else:
            self._speak(piece)

    def _hear(self, piece: Hear) -> None:
        heard, texts = self.orders.heard[: piece.rows], None  # [H]
        if piece.tokens:
            texts = Texts(*(given[: piece.tokens] for given in self.orders.texts))  # [N] each
        rows = self._slots.rows_on_device(heard, texts, piece.span)
        self._model.hear(self._slots, rows, texts)

    def _speak(self, piece: Speak) -> None:
        model, index = self._model, self.orders.spoken[: piece.rows]  # [B]
        patches = self._patches[index]  # [B]
        frames, channels = model.latent_shape
        noise = self._noise(self._seeds[index], patches, channels, frames)  # [B, C, P]
        grids = Grids(
            self._times[index, : piece.evaluations], self._strides[index, : piece.evaluations]
        )
        latents = model.speak(
            self._slots,
            index,
            lambda condition, before: model.flow.on_device(
                noise, condition, before, grids, self._cfg[index]
            ),
        )  # [B, P, C]
        samples = model.decoder(latents.transpose(1, 2), self._slots.memory, index)  # [B, N]
        self._patches[index] = patches + 1  # [B]
        self.latents[: piece.rows] = latents
        self.landing.samples[: piece.rows] = samples
