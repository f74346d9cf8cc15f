"""A runner that makes noise from seeds instead of running a model, and a batched engine with it.

The words of a text are commands to the runner; see ``MockRunner``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxcpm_openai.contracts import AudioStream, Segment, Utterance, Voice
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.job import RETRIES, Job, JobState, seed_of
from voxcpm_openai.runtime.engine.runner_protocol import FinishedStep, Step, VoiceWork
from voxcpm_openai.runtime.errors import DeviceError

RATE = 4_000
PATCH = 320
"""Samples: 80 ms."""
TIMEOUT = 20
"""Seconds after which a test that hangs fails."""
CLONE = Voice("clone", "Clone", audio=Path("clip.flac"), transcript="A clip.")
UNKNOWN = Voice("unknown", "Unknown")


def noise(seed: int, patch: int) -> np.ndarray:
    """Return the samples of a patch."""
    samples = np.random.default_rng((seed, patch)).uniform(-0.5, 0.5, PATCH)
    return samples.astype(np.float32)


@dataclass(frozen=True)
class Script:
    """The commands of a text: its words, and the numbers after their colons."""

    words: Mapping[str, int]
    tokens: int

    @property
    def room(self) -> int:
        """The number of patches that a slot has room for."""
        return self.words.get("room", 1_000)


def words_of(job: Job) -> Mapping[str, int]:
    """Return the commands of a job's text."""
    assert isinstance(job.prepared, Script)
    return job.prepared.words


class MockRunner:
    """Generates n patches for a text with ``length:n``.

    ``failed-attempt`` does not stop in the first attempt, ``endless`` in none; ``silent`` is
    silent in the first.  ``refuse`` and ``lost-early`` raise in prepare_segment; ``bad``,
    ``unsayable`` and ``lost`` in admit; ``boom:k`` and ``lost-late:k`` in the step of patch k;
    ``short:k`` returns one patch fewer in that step; ``no-continuation`` has no continuation.
    """

    sample_rate = RATE
    patch_seconds = PATCH / RATE

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.live: dict[int, Job] = {}
        self.patches: dict[int, int] = {}
        self.steps: list[list[Job]] = []
        self.failed: list[Job] = []  # the jobs of steps that failed
        self.admitted: list[tuple[Job, object]] = []
        self.in_step: Callable[[], None] = lambda: None
        self.work_of: Callable[[Voice], VoiceWork | None] = lambda _voice: None
        self._changed = threading.Condition()

    def voice_work(self, voice: Voice) -> VoiceWork | None:
        """Return what ``work_of`` returns: by default nothing is to be encoded."""
        return self.work_of(voice)

    def prepare_segment(self, _utterance: Utterance, segment: Segment) -> Script:
        """Return the commands of a segment's text."""
        words = {
            name: int(number or 0)
            for name, _, number in (word.partition(":") for word in segment.text.split())
        }
        if "refuse" in words:
            raise InvalidRequest("refused", param="input")
        if "lost-early" in words:
            raise DeviceError("lost")
        return Script(words, len(words))

    def admit(self, slot: int, job: Job) -> bool:
        """Put a job into an empty slot; there is no prompt to read."""
        assert slot in range(self.slots)
        assert slot not in self.live, "the slot is in use"
        with self._changed:
            self.live[slot], self.patches[slot] = job, 0
            self.admitted.append((job, job.continuation))
            self._changed.notify_all()
        self._raise(job, "bad", ValueError)
        self._raise(job, "unsayable", InvalidRequest)
        self._raise(job, "lost", DeviceError)
        return False

    def read(self, slot: int, *, whole: bool) -> bool:  # noqa: ARG002
        """Read nothing."""
        return True

    def launch(self, slots: Sequence[int]) -> Step:
        """Run a step; it is done at once."""
        return self.step(slots)

    def step(self, slots: Sequence[int]) -> FinishedStep:
        """Generate a patch for each slot."""
        jobs = [self.live[slot] for slot in slots]
        with self._changed:
            self.steps.append(jobs)
            self._changed.notify_all()
        self.in_step()
        if any(self._now(slot, "boom") for slot in slots):
            self.failed += jobs
            raise ValueError("boom")
        if any(self._now(slot, "lost-late") for slot in slots):
            raise DeviceError("lost")
        patches = [self._patch(slot) for slot in slots]
        short = any(self._now(slot, "short") for slot in slots)
        return FinishedStep(slots, patches[:-1] if short else patches)

    def release(self, slot: int) -> None:
        """Empty a slot."""
        with self._changed:
            del self.live[slot]
            self._changed.notify_all()

    def continuation_from(self, job: Job) -> object:
        """Return the prompt for the jobs that continue a finished one."""
        assert job.state is JobState.DONE
        assert job in self.live.values(), "the job has no slot"
        self._raise(job, "no-continuation", ValueError)
        return ("prompt", job.seed)

    def work_idle(self) -> bool:
        """Do nothing: no work is put off."""
        return False

    def status(self) -> Mapping[str, object]:
        """Return a fixed value."""
        return {"memory": 7}

    def wait_for(self, happened: Callable[[], object]) -> None:
        """Wait until a condition on the runner holds."""
        with self._changed:
            assert self._changed.wait_for(happened, TIMEOUT)

    def _patch(self, slot: int) -> tuple[bool, np.ndarray]:
        job, number = self.live[slot], self.patches[slot]
        self.patches[slot] += 1
        words = words_of(job)
        first = job.retries == RETRIES
        samples = noise(job.seed, number)
        if "silent" in words and first:
            samples = np.zeros_like(samples)
        endless = "endless" in words or ("failed-attempt" in words and first)
        return number + 1 >= words["length"] and not endless, samples

    def _now(self, slot: int, word: str) -> bool:
        return words_of(self.live[slot]).get(word) == self.patches[slot]

    def _raise(self, job: Job, word: str, error: type[Exception]) -> None:
        if word in words_of(job):
            raise error(word)


class LateStep:
    """A step whose audio is ready only when it is awaited; its calls are recorded."""

    def __init__(self, runner: AheadRunner, patches: FinishedStep, fault: bool) -> None:
        self.slots, self.patches = patches.slots, patches
        self.runner, self.fault, self.number = runner, fault, len(runner.steps)
        runner.record("launch", self.number)

    @property
    def done(self) -> bool:
        """Whether the device has finished the step."""
        return self.runner.done(self.number)

    def stop_flags(self) -> Sequence[bool]:
        """Return the stop flags of the rows."""
        self.runner.record("stop_flags", self.number)
        return self.patches.stop_flags()

    def samples(self) -> Sequence[np.ndarray]:
        """Return the audio of each row."""
        self.runner.record("samples", self.number)
        if self.fault:
            raise ValueError("boom")
        return self.patches.samples()


class AheadRunner(MockRunner):
    """A runner of an asynchronous device.  ``boom`` raises when the audio is read.

    A text with ``prefill:k`` is prefilled in the first k steps of its row.
    """

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self.calls: list[tuple[str, int]] = []
        self.done: Callable[[int], bool] = lambda _number: False
        self.prefill_left: dict[int, int] = {}

    def record(self, what: str, number: int) -> None:
        """Record a call for a step."""
        self.calls.append((what, number))

    def admit(self, slot: int, job: Job) -> bool:
        """Put a job into an empty slot."""
        self.prefill_left[slot] = words_of(job).get("prefill", 0)
        return super().admit(slot, job)

    def launch(self, slots: Sequence[int]) -> LateStep:
        """Launch a step; its audio arrives later."""
        decode_slots = [slot for slot in slots if not self.prefill_left[slot]]
        self.prefill_left.update({slot: max(0, self.prefill_left[slot] - 1) for slot in slots})
        fault = any(self._now(slot, "boom") for slot in decode_slots)
        try:
            patches = self.step(decode_slots)
        except ValueError:
            patches = FinishedStep(decode_slots, [self._patch(slot) for slot in decode_slots])
        return LateStep(self, patches, fault)


class StepGate:
    """Blocks each step until the test permits it."""

    def __init__(self, runner: MockRunner) -> None:
        self._runner = runner
        self._permits = threading.Semaphore(0)
        self._open = False
        runner.in_step = self._pass

    def wait_in_step(self, number: int) -> None:
        """Wait until the engine is in step ``number``, counted from 1."""
        self._runner.wait_for(lambda: len(self._runner.steps) >= number)

    def permit(self, steps: int = 1) -> None:
        """Permit more steps."""
        self._permits.release(steps)

    def open(self) -> None:
        """Permit all further steps."""
        self._open = True
        self._permits.release()

    def _pass(self) -> None:
        if not self._open:
            assert self._permits.acquire(timeout=TIMEOUT)


@contextmanager
def running(
    slots: int = 4, *, gated: bool = False, ahead: bool = False, **bounds: Any
) -> Iterator[Any]:
    """Yield an engine, its runner and, if ``gated``, the gate of its steps."""
    runner = AheadRunner(slots) if ahead else MockRunner(slots)
    gate = StepGate(runner) if gated else None
    bounds = {"rows_per_step": slots, "max_waiting": 10_000, "max_wait": 1e9, **bounds}
    engine = BatchedEngine(runner, **bounds)
    try:
        yield (engine, runner, gate) if gate else (engine, runner)
    finally:
        if gate:
            gate.open()
        engine.stop()


def utterance(*texts: str, pause: float = 0.0, **changes: Any) -> Utterance:
    """Return an utterance with a fixed seed and a segment for each text."""
    segments = tuple(Segment(text, pause) for text in texts)
    return Utterance(segments, **{"voice": CLONE, "seed": 7, **changes})


def collect(stream: AudioStream) -> np.ndarray:
    """Return all samples of a stream."""
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in stream)])


def segment(seed: int, index: int, patches: int, attempt: int = 0) -> np.ndarray:
    """Return the audio of a segment, which depends on the seed of its request only."""
    own = seed_of(seed, index, attempt)
    return np.concatenate([noise(own, patch) for patch in range(patches)])


def idle(engine: BatchedEngine, runner: MockRunner) -> None:
    """Wait until the engine is idle; check that no stream or job is left."""
    deadline = time.monotonic() + TIMEOUT
    while engine.status().streams and time.monotonic() < deadline:
        os.sched_yield()  # a stream without a slot is removed without a notification
    runner.wait_for(lambda: not runner.live)
    status = engine.status()
    assert (status.streams, status.running, status.waiting) == (0, 0, 0)
