"""The runner: a VoxCPM model, its slots, and the jobs in them.

Implements ``runner_protocol.Runner``.  Noise depends on a job's own seed and the number of the
patch only, so that a row's audio does not depend on the other rows.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from voxcpm_openai.contracts import Segment, Utterance, Voice
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.device.capture import Capture
from voxcpm_openai.runtime.device.clip_encoding import ClipEncoding
from voxcpm_openai.runtime.device.cuda_graphs import GraphRunner
from voxcpm_openai.runtime.device.execution_path import SAFE, PathReport
from voxcpm_openai.runtime.device.faults import device_faults
from voxcpm_openai.runtime.device.unpadded import UnpaddedRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.device.watched_step import WatchedStep, reported
from voxcpm_openai.runtime.engine.job import Job
from voxcpm_openai.runtime.engine.runner_protocol import Step
from voxcpm_openai.runtime.engine.thread_count import ThreadCount
from voxcpm_openai.runtime.errors import DeviceError, WrongAudio
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.model.state import KVPrefix, SpeakerPrompt
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2

logger = logging.getLogger(__name__)

JOINT = 2
"""The most tokens that two texts have more together than by themselves, where they are joined."""


@dataclass(frozen=True, slots=True)
class TextPlan:
    """A prepared segment: its token ids, and the voice.

    ``direction`` tells VoxCPM2 how to speak; it precedes ``text``.  ``room``: the most patches.
    """

    direction: str
    text: str
    ids: tuple[int, ...]
    room: int
    prompt: SpeakerPrompt | None = None
    reference: KVPrefix | None = None

    @property
    def tokens(self) -> int:
        """The number of tokens of the text, at least 1."""
        return max(1, len(self.ids))


@dataclass(slots=True)
class Continuation:
    """A finished job as the prompt of those after it: its text, and its patches ``[T, P, C]``.

    ``prompt`` is made of the patches when the first job needs it, in the engine's thread.  On the
    device are then, for VoxCPM2 in bfloat16, 0.6 MB and 5 kB for each patch: 0.7 MB for a clause of
    3 s, 1.1 MB for 16 s.  Until then, so for a text of one segment, it is 1 kB for each patch.
    """

    text: str
    patches: Tensor
    prompt: SpeakerPrompt | None = None


@dataclass(slots=True)
class SlotState:
    """The job in a slot, and its patches."""

    job: Job
    patches: list[Tensor] = field(default_factory=list)  # each [P, C]


class ModelRunner:
    """Runs jobs on a model, in ``slots`` slots of ``length`` positions each.

    With ``capture``, batches are padded to a few sizes and run over fixed buffers, as a GPU needs
    it: ``capture.CudaCapture``, or ``capture.enforce_eager``.  Without it batches are not
    padded, which suits a CPU.
    """

    def __init__(
        self,
        model: VoxCPM,
        voices: VoiceCache,
        *,
        slots: int,
        length: int,
        capture: Capture | None = None,
        path: PathReport | None = None,
        report: Callable[[str], None] = lambda _: None,
        threads: ThreadCount | None = None,
    ) -> None:
        """``path``: how the steps run; ``report`` is told why it must not be used again.

        ``threads``: those of a step on a CPU; without it they stay as they are.
        """
        self._model = model
        self._path = path
        self._report = report
        self._threads = threads
        self._voices = voices
        self._length = length
        self._count = slots
        # Graphs need a padding slot.
        self._slots = model.new_slots(slots + (capture is not None), length)
        self._graphs = None if capture is None else GraphRunner(model, self._slots, capture)
        self._unpadded = UnpaddedRunner(model, self._slots, threads)
        self._steps = self._graphs or self._unpadded
        self._slot_states: dict[int, SlotState] = {}

    def capture(self, seconds: float) -> None:
        """Compile kernels, then capture the most used graphs for ``seconds``.

        For a GPU, before the engine starts; nothing is done on a CPU.
        """
        if self._graphs is not None:
            self._graphs.warmup(seconds)

    @property
    def sample_rate(self) -> int:
        """The rate of the samples, in Hz."""
        return self._model.sample_rate

    @property
    def patch_seconds(self) -> float:
        """The length of a patch in seconds."""
        return self._model.patch_samples / self._model.sample_rate

    @property
    def slots(self) -> int:
        """The number of rows that the batch may have."""
        return self._count

    def voice_work(self, voice: Voice) -> ClipEncoding | None:
        """Encode a voice's clip; on a CPU return that work, if it is not done.

        Raises InvalidRequest.
        """
        if voice.audio is None:
            return None
        if self._graphs is None:
            return self._voices.begin(voice.audio)
        with device_faults():
            self._voices.get(voice.audio)
        return None

    def prepare_segment(self, utterance: Utterance, segment: Segment) -> TextPlan:
        """Tokenize a segment and encode the voice's clip.  Raises InvalidRequest."""
        voice, text = utterance.voice, segment.text
        direction = self._direction(utterance)
        if voice.audio is None:
            ids = self._ids(direction + text)
            # A later segment, also of a later stream, follows the text and the patches of the
            # first one: each of both takes half of what the direction leaves.
            used = 2 * len(ids) - len(self._ids(direction)) + JOINT
            return TextPlan(direction, text, ids, self._room(used, shares=2))
        with device_faults():
            clip = self._voices.get(voice.audio)
        if isinstance(self._model, VoxCPM2):
            ids = self._ids(direction + text)
            room = self._room(len(ids) + len(clip.latents) + 2)
            return TextPlan(direction, text, ids, room, reference=clip.prefix)
        assert voice.transcript  # `voices.library` refuses clips without a transcript
        ids = self._ids(join_texts(voice.transcript, text))
        room = self._room(len(ids) + len(clip.latents))
        return TextPlan(direction, text, ids, room, prompt=clip.prompt)

    def admit(self, slot: int, job: Job) -> bool:
        """Put a job into a free slot; return whether ``read`` can read its prompt."""
        prepared = job.prepared
        assert isinstance(prepared, TextPlan)
        ids: tuple[int, ...] = prepared.ids
        prompt: Tensor | SpeakerPrompt | None = prepared.prompt
        with self._on_device():
            if isinstance(job.continuation, Continuation):
                joined = join_texts(job.continuation.text, prepared.text)
                ids = self._ids(prepared.direction + joined)
                prompt = self._prompt(job.continuation)
            parts = self._model.begin(self._slots, slot, ids, prompt, prepared.reference)
            self._steps.begin(slot, parts, seed=job.seed, cfg=job.cfg, steps=job.steps)
        self._slot_states[slot] = SlotState(job)
        return self._graphs is None

    def read(self, slot: int, *, whole: bool) -> bool:
        """Read a part of a row's prompt, or all of it; return whether nothing is left.

        With padded batches a step reads the prompts of its rows itself.
        """
        if self._graphs is not None:
            return True
        with self._on_device():
            return self._unpadded.read(slot, whole=whole)

    def launch(self, slots: Sequence[int]) -> Step:
        """Start to advance these rows by one patch."""
        with reported(self._handle_fault), self._on_device():
            step = self._steps.launch(slots)
            patches = self._steps.latents[: len(step.slots)].clone()  # [B, P, C]
            self._store_patches(step.slots, patches)
            return WatchedStep(step, self._handle_fault)

    def _handle_fault(self, error: DeviceError | WrongAudio) -> None:
        """Leave a path that may have caused a fault: now if that helps, else at the next start."""
        if self._graphs is None or self._path is None or self._path.path == SAFE:
            return
        self._report(str(error))
        if isinstance(error, WrongAudio):
            logger.error("%s: from now on the steps run on: %s", error, SAFE)
            self._path = replace(
                self._path, path=SAFE, refused={**self._path.refused, self._path.path: str(error)}
            )
            self._model.use(TorchOps())
            self._graphs.fall_back()

    def _store_patches(self, slots: Sequence[int], latents: Tensor) -> None:
        """Store the patches ``[B, P, C]`` of these rows for a continuation."""
        for slot, patch in zip(slots, latents, strict=True):
            self._slot_states[slot].patches.append(patch)

    def release(self, slot: int) -> None:
        """Empty a slot.  Its buffers are cleared when the next job is admitted."""
        self._slot_states.pop(slot, None)

    def continuation_from(self, job: Job) -> Continuation:
        """Return a finished job as the prompt of those after it."""
        state = next(state for state in self._slot_states.values() if state.job is job)
        prepared = job.prepared
        assert isinstance(prepared, TextPlan)
        with self._on_device():
            return Continuation(prepared.text, torch.stack(state.patches))  # [T, P, C]

    def _prompt(self, continuation: Continuation) -> SpeakerPrompt:
        """Return the prompt of a continuation, which is encoded once."""
        if continuation.prompt is None:
            continuation.prompt = self._model.prompt(continuation.patches)
        return continuation.prompt

    def work_idle(self) -> bool:
        """Capture a CUDA graph that a step lacked; return whether there was one."""
        with self._on_device():
            return self._graphs is not None and self._graphs.capture_wanted()

    def status(self) -> Mapping[str, object]:
        """Return the device, the dtype, the number of slots and the memory in use in bytes.

        On a GPU also the numbers of ``graphs``, and the ``path`` that the steps run on; on a CPU
        the ``threads`` of a step, now and at most.
        """
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if self._model.device.type != "cpu":
            memory = devices.used_bytes(self._model.device)
        graphs = {} if self._graphs is None else {"graphs": self._graphs.status()}
        path = {} if self._path is None else {"path": self._path.as_json()}
        threads = {} if self._threads is None else {"threads": self._threads.status()}
        return {
            "device": str(self._model.device),
            "dtype": "int8" if self._model.int8 else str(self._model.dtype).removeprefix("torch."),
            "slots": self.slots,
            "memory_bytes": memory,
            **graphs,
            **path,
            **threads,
        }

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        """Use the device, alone where it must be; raise its faults as ``device_faults`` does."""
        with devices.exclusive(self._model.device), device_faults():
            yield

    def _direction(self, utterance: Utterance) -> str:
        """Return VoxCPM2's description of the speech, in parentheses; it precedes the text."""
        if not isinstance(self._model, VoxCPM2):
            return ""
        design = utterance.voice.description if utterance.voice.audio is None else ""
        direction = ", ".join(part for part in (design, utterance.instructions) if part)
        return f"({direction})" if direction else ""

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._model.tokens(text))

    def _room(self, used: int, shares: int = 1) -> int:
        """Return the number of positions that are left for the patches of each share."""
        room = (self._length - used - 1) // shares  # AUDIO_START
        if room < 1:
            raise InvalidRequest("A segment of the text is too long for the model.", param="input")
        return room


def join_texts(prompt: str, text: str) -> str:
    """Join a prompt's text and the text that continues it, with a space after ASCII."""
    return f"{prompt} {text}" if prompt[-1:].isascii() else prompt + text
