"""A runner that makes noise from seeds and obeys words in the text, and an engine with it."""

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
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.job import RETRIES, Job, State, seed_of
from voxcpm_openai.runtime.runner_protocol import DeviceError, Finished

RATE = 4_000
PATCH = 320
"""Samples: 80 ms."""
TIMEOUT = 20
"""Seconds after which what hangs fails its test."""
CLONE = Voice("clone", "Clone", audio=Path("clip.flac"), transcript="A clip.")
UNKNOWN = Voice("unknown", "Unknown")


def noise(seed: int, patch: int) -> np.ndarray:
    samples = np.random.default_rng((seed, patch)).uniform(-0.5, 0.5, PATCH)
    return samples.astype(np.float32)


@dataclass(frozen=True)
class Script:
    """What a text asks for: its words, and the numbers that come after a colon."""

    words: Mapping[str, int]
    tokens: int

    @property
    def room(self) -> int:
        return self.words.get("room", 1_000)


def words_of(job: Job) -> Mapping[str, int]:
    """What a job's text asks for."""
    assert isinstance(job.plan, Script)
    return job.plan.words


class MockRunner:
    """Speaks so many patches as ``length:n`` says.

    ``astray`` never stops at the first attempt, ``endless`` at none; ``dead`` is silence at the
    first.  ``refuse`` and ``lost-early`` are raised by prepare; ``bad``, ``unsayable`` and ``lost``
    by admit; ``boom:k`` and ``lost-late:k`` by the step of patch k, and ``short:k`` gives one patch
    too few there; ``mute`` gives no prompt.
    """

    sample_rate = RATE
    patch_seconds = PATCH / RATE

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.live: dict[int, Job] = {}
        self.made: dict[int, int] = {}
        self.steps: list[list[Job]] = []
        self.failed: list[Job] = []  # the jobs of steps that failed
        self.admitted: list[tuple[Job, object]] = []
        self.in_step: Callable[[], None] = lambda: None
        self._changed = threading.Condition()

    def prepare(self, utterance: Utterance, segment: Segment) -> Script:
        words = {
            name: int(number or 0)
            for name, _, number in (word.partition(":") for word in segment.text.split())
        }
        if "refuse" in words:
            raise InvalidRequest("refused", param="input")
        if "lost-early" in words:
            raise DeviceError("lost")
        return Script(words, len(words))

    def admit(self, slot: int, job: Job) -> None:
        assert slot in range(self.slots)
        assert slot not in self.live, "a slot is given twice"
        with self._changed:
            self.live[slot], self.made[slot] = job, 0
            self.admitted.append((job, job.prompt))
            self._changed.notify_all()
        self._raise(job, "bad", ValueError)
        self._raise(job, "unsayable", InvalidRequest)
        self._raise(job, "lost", DeviceError)

    def launch(self, slots: Sequence[int]) -> Finished:
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
        return Finished(slots, patches[:-1] if short else patches)

    def release(self, slot: int) -> None:
        with self._changed:
            del self.live[slot]
            self._changed.notify_all()

    def prompt_from(self, job: Job) -> object:
        assert job.state is State.DONE
        assert job in self.live.values(), "its slot is empty"
        self._raise(job, "mute", ValueError)
        return ("prompt", job.seed)

    def status(self) -> Mapping[str, object]:
        return {"memory": 7}

    def wait_for(self, happened: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(happened, TIMEOUT)

    def _patch(self, slot: int) -> tuple[bool, np.ndarray]:
        job, number = self.live[slot], self.made[slot]
        self.made[slot] += 1
        words = words_of(job)
        first = job.retries == RETRIES
        samples = noise(job.seed, number)
        if "dead" in words and first:
            samples = np.zeros_like(samples)
        endless = "endless" in words or ("astray" in words and first)
        return number + 1 >= words["length"] and not endless, samples

    def _now(self, slot: int, word: str) -> bool:
        return words_of(self.live[slot]).get(word) == self.made[slot]

    def _raise(self, job: Job, word: str, error: type[Exception]) -> None:
        if word in words_of(job):
            raise error(word)


class LateStep:
    """A step whose sound is not there before somebody waits for it; what goes on is noted."""

    def __init__(self, runner: AheadRunner, made: Finished, fault: bool) -> None:
        self.slots, self.made = made.slots, made
        self.runner, self.fault, self.number = runner, fault, len(runner.steps)
        runner.note("launch", self.number)

    @property
    def done(self) -> bool:
        return self.runner.done(self.number)

    def stops(self) -> Sequence[bool]:
        self.runner.note("stops", self.number)
        return self.made.stops()

    def samples(self) -> Sequence[np.ndarray]:
        self.runner.note("samples", self.number)
        if self.fault:
            raise ValueError("boom")
        return self.made.samples()


class AheadRunner(MockRunner):
    """A device that works by itself.  ``boom`` is found out when the sound is asked for.

    A text with ``read:k`` is still read in the first k steps that its row is in.
    """

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self.notes: list[tuple[str, int]] = []
        self.done: Callable[[int], bool] = lambda number: False
        self.unread: dict[int, int] = {}

    def note(self, what: str, number: int) -> None:
        self.notes.append((what, number))

    def admit(self, slot: int, job: Job) -> None:
        self.unread[slot] = words_of(job).get("read", 0)
        super().admit(slot, job)

    def launch(self, slots: Sequence[int]) -> LateStep:
        speaking = [slot for slot in slots if not self.unread[slot]]
        self.unread.update({slot: max(0, self.unread[slot] - 1) for slot in slots})
        fault = any(self._now(slot, "boom") for slot in speaking)
        try:
            made = super().launch(speaking)
        except ValueError:
            made = Finished(speaking, [self._patch(slot) for slot in speaking])
        return LateStep(self, made, fault)


class Gate:
    """Lets steps through one by one."""

    def __init__(self, runner: MockRunner) -> None:
        self._runner = runner
        self._permits = threading.Semaphore(0)
        self._open = False
        runner.in_step = self._pass

    def wait_in_step(self, number: int) -> None:
        """Wait until the engine is in its step of this number, from 1."""
        self._runner.wait_for(lambda: len(self._runner.steps) >= number)

    def let(self, steps: int = 1) -> None:
        """Let so many more steps through."""
        self._permits.release(steps)

    def open(self) -> None:
        self._open = True
        self._permits.release()

    def _pass(self) -> None:
        if not self._open:
            assert self._permits.acquire(timeout=TIMEOUT)


@contextmanager
def running(
    slots: int = 4, *, gated: bool = False, ahead: bool = False, **bounds: Any
) -> Iterator[Any]:
    """Give an engine, its runner and, if asked for, the gate before its steps."""
    runner = AheadRunner(slots) if ahead else MockRunner(slots)
    gate = Gate(runner) if gated else None
    bounds = {"rows_per_step": slots, "max_waiting": 10_000, "max_wait": 1e9, **bounds}
    engine = BatchedEngine(runner, **bounds)
    try:
        yield (engine, runner, gate) if gate else (engine, runner)
    finally:
        if gate:
            gate.open()
        engine.stop()


def utterance(*texts: str, pause: float = 0.0, **changes: Any) -> Utterance:
    segments = tuple(Segment(text, pause) for text in texts)
    return Utterance(segments, **{"voice": CLONE, "seed": 7, **changes})


def hear(stream: AudioStream) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in stream)])


def segment(seed: int, index: int, patches: int, attempt: int = 0) -> np.ndarray:
    """Return what a segment sounds like, from the seed of its request alone."""
    own = seed_of(seed, index, attempt)
    return np.concatenate([noise(own, patch) for patch in range(patches)])


def idle(engine: BatchedEngine, runner: MockRunner) -> None:
    """Wait until nothing is left to do; check that nothing is left behind."""
    deadline = time.monotonic() + TIMEOUT
    while engine.status()["streams"] and time.monotonic() < deadline:
        os.sched_yield()  # who leaves without ever having had a slot leaves without a sign
    runner.wait_for(lambda: not runner.live)
    status = engine.status()
    assert (status["streams"], status["live"], status["waiting"]) == (0, 0, 0)
