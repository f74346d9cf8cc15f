"""Rows of a runner that start together and are stepped together, without the engine's thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from benchmarks.checkpoints import TEXT
from benchmarks.on_gpu.bench import CFG, STEPS, Bench
from voxcpm_openai import Segment, Utterance, Voice
from voxcpm_openai.runtime.job import Budget, Job
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.runtime.runner import ModelRunner

VOICE = Voice("random", "Random")


@dataclass(frozen=True, slots=True)
class Run:
    """Milliseconds: until all rows have their first patch, and from one patch to the next."""

    first: float
    patch: float


class Batch:
    """So many rows of a model, in slots of their own; what the stop head says does not count."""

    def __init__(self, bench: Bench, model: str, rows: int) -> None:
        loaded = bench.model(model)
        self._scale = bench.scale
        self._rows = range(rows)
        self._runner = ModelRunner(
            loaded,
            Prompts(loaded, "random"),
            slots=rows,
            length=bench.length(loaded),
            capture=bench.capture(),
        )
        self.patch_ms = self._runner.patch_seconds * 1e3

    def run(self) -> Run:
        """Read the text, fill all slots and step them; every step ends with its sound here."""
        begun = time.perf_counter()
        segment = Segment(TEXT)
        utterance = Utterance((segment,), VOICE)
        for slot in self._rows:
            plan = self._runner.prepare(utterance, segment)
            budget = Budget.of(TEXT, self._runner.patch_seconds, plan.room)
            rate = self._runner.sample_rate
            self._runner.admit(
                slot, Job(0, segment, plan, budget, rate, root=slot, cfg=CFG, steps=STEPS)
            )
        marks = []
        for _ in range(self._scale.warm + self._scale.patches):
            self._runner.launch(self._rows).samples()
            marks.append(time.perf_counter())
        for slot in self._rows:
            self._runner.release(slot)
        return run_of(begun, marks, self._scale.warm)


def run_of(begun: float, marks: Sequence[float], warm: int) -> Run:
    """Sum up the moments, in seconds, at which patches came; the first ``warm`` do not count."""
    later = [after - before for before, after in pairwise(marks[warm:])]
    return Run((marks[0] - begun) * 1e3, median(later) * 1e3)
