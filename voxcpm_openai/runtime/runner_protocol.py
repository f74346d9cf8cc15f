"""The runner, as the engine sees it: something that advances rows of a batch, patch by patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from voxcpm_openai.contracts import Samples, Segment, Utterance
from voxcpm_openai.errors import VoxcpmError
from voxcpm_openai.runtime.job import Job, Plan


class DeviceError(VoxcpmError):
    """The device is lost, or can no longer be trusted: the engine stops for good."""


@dataclass(frozen=True, slots=True)
class Patch:
    """What a row made in one step: its samples, ``(n,)``, and whether the model says stop.

    The samples belong to whoever gets them: they are no view of a buffer that is used again.
    """

    samples: Samples
    stopped: bool


class Runner(Protocol):
    """Owns the model and what the slots hold.  It starts no thread.

    The engine's thread calls ``admit``, ``step``, ``release`` and ``prompt_from``; other threads
    call ``prepare`` and ``status`` in the meantime, many at once.  Any of them may raise
    DeviceError.
    """

    @property
    def sample_rate(self) -> int:
        """The rate of the samples, in Hz."""

    @property
    def patch_seconds(self) -> float:
        """The length of a patch."""

    @property
    def slots(self) -> int:
        """How many rows the batch may have; slots count from 0."""

    def prepare(self, utterance: Utterance, segment: Segment) -> Plan:
        """Read a segment: token ids, the voice's clip encoded.  Raises RequestError."""

    def admit(self, slot: int, job: Job) -> None:
        """Let a job into a free slot: ``plan``, ``prompt``, ``seed``, ``cfg`` and ``steps`` count.

        Whatever it raises fails the job's utterance; ``release`` follows in any case.
        """

    def step(self, slots: Sequence[int]) -> Sequence[Patch]:
        """Advance these rows by a patch, and no others; return the patches in the same order.

        A row's patch depends on its job alone.  Whatever it raises fails the jobs of these rows.
        """

    def release(self, slot: int) -> None:
        """Empty a slot; its job is done, cancelled, failed, or made again later."""

    def prompt_from(self, job: Job) -> object:
        """Return what jobs behind this one take for their voice's clip.

        The job is done and its slot, the last that it was admitted to, is not yet released.
        """

    def status(self) -> Mapping[str, object]:
        """Return a look inside, as JSON values: memory and the like."""
