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


class Step(Protocol):
    """A step that was launched; the device may be at it still.

    The engine's thread asks for ``stops`` first and for ``samples`` later, once each.
    """

    @property
    def slots(self) -> Sequence[int]:
        """The rows that it makes a patch for, of those it was launched with, in their order.

        The others' texts are not read to the end: they are to be among the next ones again.
        """

    @property
    def done(self) -> bool:
        """Whether all is there: nothing that is asked for waits."""

    def stops(self) -> Sequence[bool]:
        """Wait until the model has said whether these patches are the last of their rows.

        It says so early: before there is a sound.
        """

    def samples(self) -> Sequence[Samples]:
        """Wait for the sound of these patches, ``(n,)`` each.

        It belongs to whoever gets it: it is no view of a buffer that is used again.
        """


@dataclass(frozen=True, slots=True)
class Finished:
    """A ``Step`` that came back with everything."""

    slots: Sequence[int]
    made: Sequence[tuple[bool, Samples]]
    done = True

    def stops(self) -> Sequence[bool]:
        """Return at once, as ``samples`` does."""
        return [stopped for stopped, _ in self.made]

    def samples(self) -> Sequence[Samples]:
        """Return the sound of the patches, ``(n,)`` each."""
        return [samples for _, samples in self.made]


class Runner(Protocol):
    """Owns the model and what the slots hold.  It starts no thread.

    The engine's thread calls ``admit``, ``launch``, ``release`` and ``prompt_from``; other threads
    call ``prepare`` and ``status`` in the meantime, many at once.  Any of them may raise
    DeviceError, as the methods of a step may.

    Where a device works on by itself, all of these may be called while it is at a step: what they
    ask of it comes behind that step.  At most two steps are under way.
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

    def launch(self, slots: Sequence[int]) -> Step:
        """Begin to advance these rows by a patch, and no others.

        A row's patch depends on its job alone.  Whatever this or the step raises fails the jobs of
        these rows.
        """

    def release(self, slot: int) -> None:
        """Empty a slot; its job is done, cancelled, failed, or made again later.

        A step that is under way may still have a row for it, whose patch nobody wants.
        """

    def prompt_from(self, job: Job) -> object:
        """Return what jobs behind this one take for their voice's clip.

        The job is done and its slot, the last that it was admitted to, is not yet released.
        """

    def status(self) -> Mapping[str, object]:
        """Return a look inside, as JSON values: memory and the like."""
