"""A step as three stages over fixed buffers, which a CUDA graph can capture and replay.

    LMStage         encode the last patch of some rows, and prefill prompts beside: LocEnc, both
                    language models, the stop head
    AcousticStage   make the next patch of some rows: noise, LocDiT
    VAEStage        decode these patches, on a stream of its own: the next step does not need them

A stage reads and writes the same tensors each time and needs nothing from the host: the slots of
its rows, their positions and their jobs' parameters are on the device.  All other parameters are
fields of the stage.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.device.async_copy import OutputBuffers
from voxcpm_openai.runtime.device.batch_inputs import BatchInputs
from voxcpm_openai.runtime.device.side_stream import SideStream
from voxcpm_openai.runtime.model.flow import BatchSchedule
from voxcpm_openai.runtime.model.state import PrefillTokens, Slots
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

MAX_EVALUATIONS = 96
"""The most evaluations of LocDiT: those of 100 steps, the most that a request may ask for."""


class LMStage(NamedTuple):
    """The stage for ``rows`` rows and ``tokens`` prompt tokens, at positions below ``kv_len``."""

    rows: int
    tokens: int
    kv_len: int


class AcousticStage(NamedTuple):
    """The stage for ``rows`` rows with at most ``evaluations`` evaluations each."""

    rows: int
    evaluations: int


class VAEStage(NamedTuple):
    """The stage for ``rows`` rows, those of the acoustic stage before it."""

    rows: int


Stage = LMStage | AcousticStage | VAEStage


class Stages:
    """The buffers, and the stages that run on them.  The last of ``slots`` is the padding slot."""

    def __init__(self, model: VoxCPM, slots: Slots) -> None:
        self._model, self._slots = model, slots
        self.take_operators()
        count, max_rows, device = slots.count, slots.count - 1, model.device
        # The parameters of each slot's job, and the number of its patches.
        self._seeds = torch.zeros(count, device=device, dtype=torch.int64)  # [S]
        self._patches = torch.zeros(count, device=device, dtype=torch.int64)  # [S]
        self._cfg = torch.zeros(count, device=device)  # [S]
        self._time_embeds = torch.zeros(
            count, MAX_EVALUATIONS, model.config.dit.hidden_size, device=device, dtype=model.dtype
        )  # [S, E, W']
        # A step size of 0 leaves a row unchanged.
        self._step_sizes = torch.zeros(count, MAX_EVALUATIONS, device=device)  # [S, E]
        self.inputs = BatchInputs(max_rows, model.config.base.hidden_size, device, model.dtype)
        # The results of the last acoustic stage, and the slots of their rows.
        frames, channels = model.latent_shape
        self.latents = torch.zeros(max_rows, frames, channels, device=device)  # [B, P, C]
        self._latent_slots = torch.zeros(max_rows, device=device, dtype=torch.int64)  # [B]
        # The same for the VAE: the next acoustic stage may run while it decodes.
        self._taken_latents = torch.zeros_like(self.latents)  # [B, P, C]
        self._taken_slots = torch.zeros_like(self._latent_slots)  # [B]
        self.vae_stream = SideStream(device)
        slots.on_vae_stream = self.vae_stream.after_steps
        self.output = OutputBuffers(max_rows, slots.stop_flags, model.patch_samples)

    def take_operators(self) -> None:
        """Take the operators that the model has now."""
        self._noise = self._model.ops.noise(self._model.device)

    @torch.inference_mode()
    def begin(self, slot: int, *, seed: int, cfg: float, steps: int) -> int:
        """Set the parameters of a slot's job; return its evaluations.  Raises InvalidRequest."""
        schedule = self._model.flow.schedule(steps)
        evaluations = len(schedule.step_sizes)
        if evaluations > MAX_EVALUATIONS:
            raise InvalidRequest(
                f"inference_steps = {steps}: 100 is the most.", param="inference_steps"
            )
        self._seeds[slot].fill_(seed)
        self._patches[slot].zero_()
        self._cfg[slot].fill_(cfg)
        self._time_embeds[slot, :evaluations] = schedule.time_embeds  # [E, W']
        self._step_sizes[slot, :evaluations] = schedule.step_sizes  # [E]
        self._step_sizes[slot, evaluations:].zero_()
        return evaluations

    @torch.inference_mode()
    def pad(self) -> None:
        """Let the next stages change the padding slot only."""
        self.inputs.upload([], [], [])
        with self.vae_stream.after_steps():
            self._taken_slots.fill_(self._slots.count - 1)

    def stream_of(self, stage: Stage) -> AbstractContextManager[None]:
        """Return a context in which a stage's stream is current."""
        return self.vae_stream.after_steps() if isinstance(stage, VAEStage) else nullcontext()

    @torch.inference_mode()
    def take_latents(self) -> None:
        """Copy what the acoustic stage made, for the VAE's stage and on its stream."""
        self._taken_latents.copy_(self.latents)  # [B, P, C]
        self._taken_slots.copy_(self._latent_slots)  # [B]

    @torch.inference_mode()
    def run(self, stage: Stage) -> None:
        """Run a stage operator by operator: what a graph captures, and the eager fallback."""
        if isinstance(stage, LMStage):
            self._run_lm(stage)
        elif isinstance(stage, AcousticStage):
            self._run_acoustic(stage)
        else:
            self._run_vae(stage)

    def _run_lm(self, stage: LMStage) -> None:
        encode_slots, prefill = self.inputs.lm_slots[: stage.rows], None  # [H]
        if stage.tokens:
            prefill = PrefillTokens(
                *(values[: stage.tokens] for values in self.inputs.prefill)
            )  # [N] each
        batch = self._slots.rows_on_device(encode_slots, prefill, stage.kv_len)
        self._model.lm_step(self._slots, batch, prefill)

    def _run_acoustic(self, stage: AcousticStage) -> None:
        model, index = self._model, self.inputs.acoustic_slots[: stage.rows]  # [B]
        patches = self._patches[index]  # [B]
        frames, channels = model.latent_shape
        noise = self._noise(self._seeds[index], patches, channels, frames)  # [B, C, P]
        schedule = BatchSchedule(
            self._time_embeds[index, : stage.evaluations],
            self._step_sizes[index, : stage.evaluations],
        )
        latents = model.acoustic_step(
            self._slots,
            index,
            lambda condition, previous: model.flow.solve_on_device(
                noise, condition, previous, schedule, self._cfg[index]
            ),
        )  # [B, P, C]
        self._patches[index] = patches + 1  # [B]
        self.latents[: stage.rows] = latents
        self._latent_slots[: stage.rows] = index

    def _run_vae(self, stage: VAEStage) -> None:
        latents, slots = self._taken_latents[: stage.rows], self._taken_slots[: stage.rows]
        state = self._slots.conv_state
        samples = self._model.decoder(latents.transpose(1, 2), state, slots)  # [B, N]
        self.output.samples[: stage.rows] = samples
