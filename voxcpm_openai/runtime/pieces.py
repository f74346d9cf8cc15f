"""A step as two pieces over fixed buffers: what a CUDA graph can hold, and replay.

    hear     the last patch of some rows: LocEnc, both language models
    speak    the next patch of some rows: noise, LocDiT, the stop head, the VAE

A piece reads and writes the same tensors each time and asks the host for nothing: which rows it is
for, where they stand and what their jobs want lie on the device.  What it depends on beside these
is in its name: the number of rows, the positions that it looks at, the evaluations of LocDiT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from voxcpm_openai.contracts import Samples
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.model.flow import Grids
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

EVALUATIONS = 96
"""The most that a row may have: those of 100 steps, the most that a request may ask for."""


class Hear(NamedTuple):
    """The piece for so many rows, none of them longer than ``span`` with its next token."""

    rows: int
    span: int


class Speak(NamedTuple):
    """The piece for so many rows, none of them with more evaluations."""

    rows: int
    evaluations: int


Piece = Hear | Speak


class Made(NamedTuple):
    """What a step made, on the host; the next one writes over it."""

    stopped: list[bool]  # B of them
    samples: Samples  # (B, patch_samples)


class Pieces:
    """The buffers, and the pieces on them.  ``slots``: the last one is spare, nobody's."""

    def __init__(self, model: VoxCPM, slots: Slots) -> None:
        self._model, self._slots = model, slots
        self._noise = model.ops.noise(model.device)
        self._spare = slots.count - 1
        count, most, device = slots.count, slots.count - 1, model.device
        width = model.config.dit.width
        whole = torch.int64
        # What each job wants, and how many patches it has, by slot.
        self._seeds = torch.zeros(count, device=device, dtype=whole)  # [S]
        self._patches = torch.zeros(count, device=device, dtype=whole)  # [S]
        self._cfg = torch.zeros(count, device=device)  # [S]
        self._times = torch.zeros(count, EVALUATIONS, width, device=device, dtype=model.dtype)
        self._strides = torch.zeros(count, EVALUATIONS, device=device)  # [S, E], 0: stand still
        # The slots that each piece is for.
        self._index = {
            kind: torch.full((most,), self._spare, device=device, dtype=whole)
            for kind in (Hear, Speak)
        }  # [B] each
        # What the last step made.
        frames, channels = model.latent_shape
        self.latents = torch.zeros(most, frames, channels, device=device)  # [B, P, C]
        self._stopped = torch.zeros(most, device=device, dtype=torch.bool)  # [B]
        self._samples = torch.zeros(most, model.patch_samples, device=device)  # [B, N]
        # The same things on the host, where the device can reach them by itself.
        cuda = device.type == "cuda"
        self._index_here = {
            kind: torch.zeros(most, dtype=whole, pin_memory=cuda) for kind in (Hear, Speak)
        }  # [B] each
        self._stopped_here = torch.zeros(most, dtype=torch.bool, pin_memory=cuda)  # [B]
        self._samples_here = torch.zeros(most, model.patch_samples, pin_memory=cuda)  # [B, N]
        self._landed = _event() if cuda else None

    @torch.inference_mode()
    def begin(self, slot: int, *, seed: int, cfg: float, steps: int) -> int:
        """Note what the job in a slot wants; return its evaluations.  Raises InvalidRequest."""
        schedule = self._model.flow.prepare(steps)
        evaluations = len(schedule.strides)
        if evaluations > EVALUATIONS:
            raise InvalidRequest(
                f"inference_steps = {steps}: 100 is the most.", param="inference_steps"
            )
        self._seeds[slot] = seed
        self._patches[slot] = 0
        self._cfg[slot] = cfg
        self._times[slot, :evaluations] = schedule.times  # [E, W']
        self._strides[slot, :evaluations] = schedule.strides  # [E]
        self._strides[slot, evaluations:] = 0
        return evaluations

    def point(self, piece: Piece, slots: Sequence[int]) -> None:
        """Say which slots a piece is for; the spare one is for the rest of its rows."""
        here = self._index_here[type(piece)][: piece.rows]  # [B]
        padded = [*slots, *[self._spare] * (piece.rows - len(slots))]
        here.copy_(torch.tensor(padded))
        self._index[type(piece)][: piece.rows].copy_(here, non_blocking=True)  # [B]

    @torch.inference_mode()
    def run(self, piece: Piece) -> None:
        """Run a piece, operator by operator: the twin of its graph."""
        index = self._index[type(piece)][: piece.rows]  # [B]
        if isinstance(piece, Hear):
            self._model.hear(self._slots, self._slots.rows_on_device(index, piece.span))
            return
        model, patches = self._model, self._patches[index]  # [B]
        frames, channels = model.latent_shape
        noise = self._noise(self._seeds[index], patches, channels, frames)  # [B, C, P]
        grids = Grids(
            self._times[index, : piece.evaluations], self._strides[index, : piece.evaluations]
        )
        latents, stopped = model.speak(
            self._slots,
            index,
            lambda condition, before: model.flow.on_device(
                noise, condition, before, grids, self._cfg[index]
            ),
        )  # [B, P, C], [B]
        samples = model.decoder(latents.transpose(1, 2), self._slots.memory, index)  # [B, N]
        self._patches[index] = patches + 1  # [B]
        self._stopped[: piece.rows] = stopped
        self.latents[: piece.rows] = latents
        self._samples[: piece.rows] = samples

    def land(self, rows: int) -> Made:
        """Wait for the first ``rows`` of what was made: the one time that a step waits."""
        self._stopped_here[:rows].copy_(self._stopped[:rows], non_blocking=True)
        self._samples_here[:rows].copy_(self._samples[:rows], non_blocking=True)
        if self._landed is not None:
            self._landed.record(torch.cuda.current_stream(self._model.device))
            self._landed.synchronize()
        return Made(self._stopped_here[:rows].tolist(), self._samples_here[:rows].numpy())


def _event() -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]
