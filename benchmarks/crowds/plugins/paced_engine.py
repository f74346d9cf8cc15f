"""An engine with the batched runtime's loop, and a runner as slow as a GPU: VoxCPM2's patches.

It does one step after the other by itself, as a GPU does, while the threads of the server have the
GIL; who waits for it sleeps.  ``CROWD_STEP_MS`` and ``CROWD_ROW_MS`` say how long a step takes: so
much, and so much more for each row.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import soxr

from voxcpm_openai import Engine, EngineSpec, Samples, Segment, Settings, Utterance, hookimpl
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.job import Job
from voxcpm_openai.runtime.runner_protocol import Finished

RATE, PATCH = 48_000, 7_680
LETTER_S = 0.07
"""How long a letter is spoken."""
CLIP = Path(__file__).parents[3] / "voices" / "alloy.flac"
HEARD = 0.2
"""The part of a step after which its stop flags are there."""
REMEMBERED = 20_000
"""Steps that are told in ``status()``."""


@dataclass(frozen=True, slots=True)
class Length:
    """A segment's plan: how many patches it is long."""

    tokens: int
    patches: int
    room: int = 4_000


@dataclass(frozen=True, slots=True)
class PacedStep:
    """A step that is done by itself: who asks sooner sleeps.  Moments are of the monotonic clock.

    ``note`` is told when it begins, its rows, when it ends, and how late its flags were taken.
    """

    made: Finished
    begins: float
    ends: float
    note: Callable[[tuple[float, int, float, float]], None]

    @property
    def slots(self) -> Sequence[int]:
        """Those that it was launched with."""
        return self.made.slots

    @property
    def done(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() >= self.ends

    def stops(self) -> Sequence[bool]:
        """Sleep until the flags are there."""
        due = max(time.monotonic(), self.begins + HEARD * (self.ends - self.begins))
        _sleep_until(due)
        late = time.monotonic() - due
        self.note((self.begins, len(self.slots), self.ends, late))
        return self.made.stops()

    def samples(self) -> Sequence[Samples]:
        """Sleep until it is done."""
        _sleep_until(self.ends)
        return self.made.samples()


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


class PacedRunner:
    """Speaks a clip over and over, each segment as long as its text, equal texts alike."""

    sample_rate = RATE
    patch_seconds = PATCH / RATE

    def __init__(self, slots: int, step_s: float, row_s: float) -> None:
        """``step_s`` and ``row_s``: how long a step takes, and how much longer for each row."""
        self.slots = slots
        self._step_s = step_s
        self._row_s = row_s
        self._made: dict[int, int] = {}
        self._lengths: dict[int, Length] = {}
        self._steps: deque[tuple[float, int, float, float]] = deque(maxlen=REMEMBERED)
        self._thread = 0
        self._free = 0.0  # when all that was launched is done
        clip, rate = soundfile.read(CLIP, dtype="float32")
        sound = soxr.resample(clip, rate, RATE)
        whole = len(sound) - len(sound) % PATCH
        self._patches: list[Samples] = list(sound[:whole].reshape(-1, PATCH))

    def prepare(self, utterance: Utterance, segment: Segment) -> Length:  # noqa: ARG002
        """Make it as long as its text."""
        letters = len(segment.text)
        return Length(letters, math.ceil(letters * LETTER_S / self.patch_seconds))

    def admit(self, slot: int, job: Job) -> None:
        """Let a job in."""
        assert isinstance(job.plan, Length)
        self._made[slot], self._lengths[slot] = 0, job.plan

    def launch(self, slots: Sequence[int]) -> PacedStep:
        """Make a patch for each row, to be had when the step is done behind those before."""
        self._thread = threading.get_native_id()
        begins = max(time.monotonic(), self._free)
        self._free = begins + self._step_s + self._row_s * len(slots)
        made = Finished(slots, [self._patch(slot) for slot in slots])
        return PacedStep(made, begins, self._free, self._steps.append)

    def release(self, slot: int) -> None:
        """Empty a slot."""
        del self._made[slot], self._lengths[slot]

    def prompt_from(self, job: Job) -> object:
        """Give what nobody looks at."""
        return job.index

    def status(self) -> Mapping[str, object]:
        """Return the process, the engine's thread, and the last steps."""
        return {"process": os.getpid(), "thread": self._thread, "steps": list(self._steps)}

    def _patch(self, slot: int) -> tuple[bool, Samples]:
        samples = self._patches[self._made[slot] % len(self._patches)]
        self._made[slot] += 1
        return self._made[slot] >= self._lengths[slot].patches, samples.copy()


def start(settings: Settings) -> Engine:
    """Give as many slots as there may be streams."""
    slots = settings.max_streams
    runner = PacedRunner(
        slots,
        float(os.environ.get("CROWD_STEP_MS", "5")) / 1e3,
        float(os.environ.get("CROWD_ROW_MS", "0.2")) / 1e3,
    )
    return BatchedEngine(runner, rows_per_step=slots, max_waiting=512, max_wait=30.0)


@hookimpl
def register_engines() -> list[EngineSpec]:
    """Give the engine ``paced``."""
    return [EngineSpec("paced", start=start, available=lambda settings: None)]  # noqa: ARG005
