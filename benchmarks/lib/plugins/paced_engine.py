"""The engine ``paced``: the batched runtime's loop with a runner that is as slow as a GPU.

It works through its steps by itself, as a GPU does, without the GIL; a thread that waits for it
sleeps.  A step takes ``LOAD_STEP_MS`` and ``LOAD_ROW_MS`` for each row.  The status has the last
``LOAD_KEPT_STEPS`` steps, and with ``LOAD_MEMORY`` what the process has allocated (glibc only).
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import soxr

from voxcpm_openai import Engine, EngineSpec, Samples, Segment, Settings, Utterance, hookimpl
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.job import Job
from voxcpm_openai.runtime.engine.runner_protocol import FinishedStep
from voxcpm_openai.testing.mock_runner import MockRunner, Script, words_of

RATE, PATCH = 48_000, 7_680  # VoxCPM2's
CHARACTER_SECONDS = 0.07
CLIP = Path(__file__).parents[3] / "voices" / "alloy.flac"
FLAGS_READY = 0.2  # the part of a step after which its stop flags are there

StepTimes = tuple[float, int, float, float]
"""When a step begins, its rows, when it ends, and how late its stop flags were taken."""


@dataclass(frozen=True, slots=True)
class PacedStep:
    """A step that is done by itself.  Moments are of the monotonic clock."""

    made: FinishedStep
    begins: float
    ends: float
    record: Callable[[StepTimes], None]

    @property
    def slots(self) -> Sequence[int]:
        return self.made.slots

    @property
    def done(self) -> bool:
        return time.monotonic() >= self.ends

    def stop_flags(self) -> Sequence[bool]:
        due = max(time.monotonic(), self.begins + FLAGS_READY * (self.ends - self.begins))
        _sleep_until(due)
        self.record((self.begins, len(self.slots), self.ends, time.monotonic() - due))
        return self.made.stop_flags()

    def samples(self) -> Sequence[Samples]:
        _sleep_until(self.ends)
        return self.made.samples()


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


class PacedRunner(MockRunner):
    """Repeats a clip; a segment is as long as its text, and equal texts sound alike."""

    sample_rate = RATE
    patch_seconds = PATCH / RATE

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._step_seconds = float(os.environ.get("LOAD_STEP_MS", "5")) / 1e3
        self._row_seconds = float(os.environ.get("LOAD_ROW_MS", "0.2")) / 1e3
        self._times: deque[StepTimes] = deque(
            maxlen=int(os.environ.get("LOAD_KEPT_STEPS", "20000"))
        )
        self._thread = 0
        self._free = 0.0  # when all that was launched is done
        clip, rate = soundfile.read(CLIP, dtype="float32")
        sound = soxr.resample(clip, rate, RATE)
        whole = len(sound) - len(sound) % PATCH
        self._patches: list[Samples] = list(sound[:whole].reshape(-1, PATCH))

    def prepare_segment(self, utterance: Utterance, segment: Segment) -> Script:  # noqa: ARG002
        characters = len(segment.text)
        patches = math.ceil(characters * CHARACTER_SECONDS / self.patch_seconds)
        return Script({"length": patches}, characters)

    def admit(self, slot: int, job: Job) -> bool:
        """Put a job into an empty slot, and forget those before."""
        self.admitted.clear()
        return super().admit(slot, job)

    def launch(self, slots: Sequence[int]) -> PacedStep:
        """Make a patch for each row, available when this step and those before are done."""
        self._thread = threading.get_native_id()
        begins = max(time.monotonic(), self._free)
        self._free = begins + self._step_seconds + self._row_seconds * len(slots)
        made = FinishedStep(slots, [self._patch(slot) for slot in slots])
        return PacedStep(made, begins, self._free, self._times.append)

    def status(self) -> Mapping[str, object]:
        memory = _allocated() if "LOAD_MEMORY" in os.environ else {}
        return {
            "process": os.getpid(),
            "thread": self._thread,
            "steps": list(self._times),
            **memory,
        }

    def _patch(self, slot: int) -> tuple[bool, Samples]:
        samples = self._patches[self.patches[slot] % len(self._patches)]
        self.patches[slot] += 1
        return self.patches[slot] >= words_of(self.live[slot])["length"], samples.copy()


class _Mallinfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def _allocated() -> dict[str, int]:
    """Return the number of Python's blocks, and the bytes that ``malloc`` has given out."""
    gc.collect()
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return {"blocks": sys.getallocatedblocks(), "bytes": found.uordblks + found.hblkhd}


def start(settings: Settings) -> Engine:
    slots = settings.max_streams
    return BatchedEngine(PacedRunner(slots), rows_per_step=slots, max_waiting=512, max_wait=30.0)


@hookimpl
def register_engines() -> list[EngineSpec]:
    return [EngineSpec("paced", start=start)]
