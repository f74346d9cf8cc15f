"""The runner as the engine sees it: it advances the rows of a batch, patch by patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from voxcpm_openai.contracts import Samples, Segment, Utterance, Voice
from voxcpm_openai.runtime.engine.job import Job, PreparedSegment


class Step(Protocol):
    """A launched step, which the device may still execute.

    The engine's thread asks for ``stop_flags`` first and for ``samples`` later, once each.
    """

    @property
    def slots(self) -> Sequence[int]:
        """The rows that get a patch, out of those it was launched with, in their order.

        The other rows are still prefilling and must be launched again.
        """

    @property
    def done(self) -> bool:
        """Whether the step is complete: neither method would wait."""

    def stop_flags(self) -> Sequence[bool]:
        """Wait until the model has said which of these patches are the last of their rows.

        The flags are known before the audio.
        """

    def samples(self) -> Sequence[Samples]:
        """Wait for the audio of these patches, ``(n,)`` each, and return copies of it."""


@dataclass(frozen=True, slots=True)
class FinishedStep:
    """A ``Step`` that is complete when it is launched."""

    slots: Sequence[int]
    patches: Sequence[tuple[bool, Samples]]  # stop flag and audio of each
    done = True

    def stop_flags(self) -> Sequence[bool]:
        """Return the stop flags."""
        return [stopped for stopped, _ in self.patches]

    def samples(self) -> Sequence[Samples]:
        """Return the audio of the patches, ``(n,)`` each."""
        return [samples for _, samples in self.patches]


class VoiceWork(Protocol):
    """The work that makes a voice ready, in parts that take as long as a step or less."""

    def run_part(self) -> bool:
        """Do the next part, in the engine's thread; return whether it was the last one.

        An exception ends the work, and fails the requests that wait for it.
        """


class Runner(Protocol):
    """Owns the model and the contents of the slots.  It starts no thread.

    The engine's thread calls ``admit``, ``read``, ``launch``, ``release``, ``continuation_from``
    and ``work_idle``; other threads call ``voice_work``, ``prepare_segment`` and ``status`` at any
    time.  All of them, and the methods of a step, may raise DeviceError.

    With an asynchronous device, all of these may be called during a step: what they ask of the
    device runs after it.  At most two steps are in flight.
    """

    @property
    def sample_rate(self) -> int:
        """The rate of the samples, in Hz."""

    @property
    def patch_seconds(self) -> float:
        """The length of a patch in seconds."""

    @property
    def slots(self) -> int:
        """The number of rows that the batch may have; slots are numbered from 0."""

    def voice_work(self, voice: Voice) -> VoiceWork | None:
        """Encode a voice's clip, or return that work if the engine's thread is to do it.

        While it is not done, each call for the same clip returns the same object; None: there is
        nothing to do.  Raises RequestError.
        """

    def prepare_segment(self, utterance: Utterance, segment: Segment) -> PreparedSegment:
        """Tokenize a segment, and encode the voice's clip if ``voice_work`` has not.

        Raises RequestError.
        """

    def admit(self, slot: int, job: Job) -> bool:
        """Put a job into a free slot; return whether ``read`` may read its prompt before a step.

        Its ``prepared``, ``continuation``, ``seed``, ``cfg`` and ``steps`` count.

        An exception fails the job's utterance; ``release`` follows in any case.
        """

    def read(self, slot: int, *, whole: bool) -> bool:
        """Read the next part of a row's prompt, or all of it; return whether nothing is left.

        Only after ``admit`` has returned True.  A step reads what is left.  An exception fails the
        job's utterance.
        """

    def launch(self, slots: Sequence[int]) -> Step:
        """Start to advance exactly these rows by one patch.

        A row's patch depends on its job only.  An exception, also of the step, fails the jobs of
        these rows.
        """

    def release(self, slot: int) -> None:
        """Empty a slot: its job is done, cancelled, failed, or will be retried.

        A step in flight may still have a row for it, whose patch is discarded.
        """

    def continuation_from(self, job: Job) -> object:
        """Return what the jobs that continue from this one get as ``Job.continuation``.

        The job is done, and the slot that it was last admitted to is not released yet.  The result
        may outlive the job's stream by as long as a session lasts, so it holds no more than a
        prompt needs; later jobs get it any number of times.
        """

    def work_idle(self) -> bool:
        """Do a part of the work that was put off, while there is no stream and no step in flight.

        Return whether there was any.  A request that comes meanwhile waits for it.
        """

    def status(self) -> Mapping[str, object]:
        """Return details such as memory, as JSON values."""
