"""The runner: a VoxCPM model, its slots, and what each job in them needs.

Fulfils ``runner_protocol.Runner``.  Noise comes from the job's own seed and the number of the patch
and nothing else, so that a row alone equals the row among others.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from voxcpm_openai.contracts import Segment, Utterance
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.faults import device_faults
from voxcpm_openai.runtime.graphs import Capture, Graphs
from voxcpm_openai.runtime.job import Job
from voxcpm_openai.runtime.model.noise import Noise
from voxcpm_openai.runtime.model.state import Prefix, Prompt
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.runtime.runner_protocol import Finished, Step


@dataclass(frozen=True, slots=True)
class TextPlan:
    """A segment made ready: its ids, and the voice.

    ``direction`` is what VoxCPM2 is told of how to speak; it stands in front of all ``text``.
    """

    direction: str
    text: str
    ids: tuple[int, ...]
    room: int
    prompt: Prompt | None = None
    reference: Prefix | None = None

    @property
    def tokens(self) -> int:
        """Tokens of the text that is spoken, at least 1."""
        return max(1, len(self.ids))


@dataclass(frozen=True, slots=True)
class Spoken:
    """A job that is done, as the prompt of those behind it: its text and what was heard of it."""

    text: str
    heard: Prompt


@dataclass(slots=True)
class Seat:
    """What a slot holds beside the model's state."""

    job: Job
    seed: int
    patches: list[Tensor] = field(default_factory=list)  # each [P, C]


class ModelRunner:
    """Runs jobs on a model.  ``slots`` rows of ``length`` positions each.

    ``capture``: run batches of a few sizes over fixed buffers, as a GPU wants them, and what to
    make of these pieces (``graphs.CudaCapture``, or ``graphs.eagerly``).  Without it each batch is
    as large as it is, which suits a CPU.
    """

    def __init__(
        self,
        model: VoxCPM,
        prompts: Prompts,
        *,
        slots: int,
        length: int,
        capture: Capture | None = None,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._length = length
        self._count = slots
        # Graphs fill up their batches with one slot that is nobody's.
        self._slots = model.new_slots(slots + (capture is not None), length)
        self._graphs = None if capture is None else Graphs(model, self._slots, capture)
        self._noise = Noise(model.device)
        self._seats: dict[int, Seat] = {}

    def capture(self, seconds: float) -> None:
        """Before the engine starts: capture the graphs that are used most, for so long."""
        if self._graphs is not None:
            self._graphs.prepare(seconds)

    @property
    def sample_rate(self) -> int:
        """The rate of the samples, in Hz."""
        return self._model.sample_rate

    @property
    def patch_seconds(self) -> float:
        """The length of a patch."""
        return self._model.patch_samples / self._model.sample_rate

    @property
    def slots(self) -> int:
        """How many rows the batch may have."""
        return self._count

    def prepare(self, utterance: Utterance, segment: Segment) -> TextPlan:
        """Read a segment: its ids, the voice's clip encoded.  Raises InvalidRequest."""
        voice, text = utterance.voice, segment.text
        direction = self._direction(utterance)
        if voice.audio is None:
            ids = self._ids(direction + text)
            # A segment behind the first one has that one, its text and its patches, in front.
            shares = 2 if len(utterance.segments) > 1 else 1
            return TextPlan(direction, text, ids, self._room(len(ids) * shares) // shares)
        with device_faults():
            clip = self._prompts.get(voice.audio)
        if isinstance(self._model, VoxCPM2):
            ids = self._ids(direction + text)
            room = self._room(len(ids) + len(clip.latents) + 2)
            return TextPlan(direction, text, ids, room, reference=clip.prefix)
        if not voice.transcript:
            raise InvalidRequest(
                f"The voice '{voice.id}' has a clip but no transcript, and this model needs the "
                "words of the clip. Add the voice again with its 'transcript'; VoxCPM2 needs none.",
                param="voice",
            )
        ids = self._ids(joined(voice.transcript, text))
        room = self._room(len(ids) + len(clip.latents))
        return TextPlan(direction, text, ids, room, prompt=clip.prompt)

    def admit(self, slot: int, job: Job) -> None:
        """Let a job into a slot."""
        plan = job.plan
        assert isinstance(plan, TextPlan)
        ids: tuple[int, ...] = plan.ids
        prompt: Tensor | Prompt | None = plan.prompt
        if isinstance(job.prompt, Spoken):
            ids = self._ids(plan.direction + joined(job.prompt.text, plan.text))
            prompt = job.prompt.heard
        with device_faults():
            if self._graphs is None:
                self._model.prefill(self._slots, slot, ids, prompt, plan.reference)
            else:
                parts = self._model.arrive(self._slots, slot, ids, prompt, plan.reference)
                self._graphs.begin(slot, parts, seed=job.seed, cfg=job.cfg, steps=job.steps)
        self._seats[slot] = Seat(job, job.seed)

    def launch(self, slots: Sequence[int]) -> Step:
        """Begin to advance these rows by a patch."""
        with device_faults():
            if self._graphs is None:
                return self._exactly(slots)
            step = self._graphs.launch(slots)
            made = self._graphs.latents[: len(step.slots)].clone()  # [B, P, C]
        self._keep(step.slots, made)
        return step

    def _exactly(self, slots: Sequence[int]) -> Finished:
        """Make a step of no more rows than there are."""
        seats = [self._seats[slot] for slot in slots]
        frames, channels = self._model.latent_shape
        seeds, numbers, cfg = (
            torch.tensor(given).to(self._model.device, non_blocking=True)
            for given in (
                [seat.seed for seat in seats],
                [len(seat.patches) for seat in seats],
                [seat.job.cfg for seat in seats],
            )
        )  # [B] each
        noise = self._noise(seeds, numbers, channels, frames)  # [B, C, P]
        latents, stops = self._model.step(
            self._slots, slots, noise, [seat.job.steps for seat in seats], cfg
        )  # [B, P, C], [B]
        samples = self._model.decode(self._slots, slots, latents)  # [B, patch_samples]
        self._keep(slots, latents)
        sounds = [np.array(row) for row in samples.cpu().numpy()]
        return Finished(slots, list(zip(stops.tolist(), sounds, strict=True)))

    def _keep(self, slots: Sequence[int], latents: Tensor) -> None:
        """Note the patches ``[B, P, C]`` of these rows: others may go on from them."""
        for slot, patch in zip(slots, latents, strict=True):
            self._seats[slot].patches.append(patch)

    def release(self, slot: int) -> None:
        """Empty a slot; its buffers are cleared by the next job that comes in."""
        self._seats.pop(slot, None)

    def prompt_from(self, job: Job) -> Spoken:
        """Return what a finished job said, as the prompt of those behind it."""
        seat = next(seat for seat in self._seats.values() if seat.job is job)
        plan = job.plan
        assert isinstance(plan, TextPlan)
        with device_faults():
            return Spoken(plan.text, self._model.prompt(torch.stack(seat.patches)))

    def status(self) -> Mapping[str, object]:
        """Return the memory in use, in bytes, and the slots that are taken."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if self._model.device.type == "cuda":
            memory = torch.cuda.memory_allocated(self._model.device)
        return {
            "device": str(self._model.device),
            "dtype": "int8" if self._model.int8 else str(self._model.dtype).removeprefix("torch."),
            "slots": self.slots,
            "memory_bytes": memory,
        }

    def _direction(self, utterance: Utterance) -> str:
        """VoxCPM2 takes a description of the speech in front of the text, in parentheses."""
        if not isinstance(self._model, VoxCPM2):
            return ""
        designed = utterance.voice.description if utterance.voice.audio is None else ""
        said = ", ".join(part for part in (designed, utterance.instructions) if part)
        return f"({said})" if said else ""

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._model.tokens(text))

    def _room(self, taken: int) -> int:
        """Return the positions that are left for patches."""
        room = self._length - taken - 1  # the token that begins the speech
        if room < 1:
            raise InvalidRequest("A segment of the text is too long for the model.", param="input")
        return room


def joined(before: str, after: str) -> str:
    """Join the words of a prompt and those that go on from it, as one text for the tokenizer."""
    return f"{before} {after}" if before[-1:].isascii() else before + after
