"""Listeners: the whole engine with its thread, and many who hear it at the speed of speech."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from statistics import median

import numpy as np

from benchmarks.checkpoints import TEXT
from benchmarks.forced import Forced
from benchmarks.on_gpu.batch import VOICE
from benchmarks.on_gpu.bench import CFG, STEPS, Bench, Task
from voxcpm_openai import Overloaded, Segment, Utterance
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.graphs import Capture
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.runtime.runner import ModelRunner
from voxcpm_openai.runtime.runner_protocol import Step

LEAD = 0.5
"""Seconds of sound that a player has in hand before it takes no more."""
CAPTURE_SECONDS = 60.0
"""How long graphs are captured before the crowd comes."""
ARRIVALS = ("burst", "poisson")

COLUMNS = {
    "model": "model",
    "listeners": "listeners",
    "arrivals": "arrivals",
    "requests": "requests",
    "refused": "refused",
    "first_p50_ms": "first chunk ms p50",
    "first_p90_ms": "p90",
    "first_p99_ms": "p99",
    "gap_ms": "longest wait ms",
    "underruns": "underruns",
    "rtf": "RTF",
    "audio_per_second": "audio-s/s",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """How one listener fared; seconds.

    ``first``: from asking to the first chunk; None for one who was refused.  ``gap``: the longest
    wait for a later chunk.  ``underruns``: how often all that was there had been played.
    """

    first: float | None = None
    gap: float = 0.0
    underruns: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A crowd.

    ``rtf``: the median time from one step to the next, with all that is done between, by the length
    of a patch.  ``audio_per_second``: sound made, by the time from the first step to the last; what
    a Poisson crowd asks for is the bound of it.
    """

    model: str
    dtype: str
    listeners: int
    arrivals: str
    requests: int
    refused: int
    first_p50_ms: float | None
    first_p90_ms: float | None
    first_p99_ms: float | None
    gap_ms: float
    underruns: int
    rtf: float | None
    audio_per_second: float | None


class ForcedRunner(ModelRunner):
    """Ends every job after so many patches, whatever the stop head says, and times its steps."""

    def __init__(
        self,
        model: VoxCPM,
        *,
        slots: int,
        length: int,
        patches: int,
        capture: Capture | None = None,
    ) -> None:
        super().__init__(
            model, Prompts(model, "random"), slots=slots, length=length, capture=capture
        )
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.made = 0
        self._wanted = patches

    def launch(self, slots: Sequence[int]) -> Step:
        """Begin to advance these rows by a patch."""
        self.begun.append(time.perf_counter())
        step = super().launch(slots)
        self.made += len(step.slots)
        stops = [len(self._seats[slot].patches) >= self._wanted for slot in step.slots]
        return Forced(step, stops, lambda: self.ended.append(time.perf_counter()))

    def forget(self) -> None:
        """Begin to count anew."""
        self.begun, self.ended, self.made = [], [], 0


def tasks(bench: Bench) -> Iterator[Task]:
    """All crowds of a model before the next model."""
    for model in bench.scale.models:
        for listeners in bench.scale.listeners:
            for arrivals in ARRIVALS:
                label = f"{model}, {listeners} listeners, {arrivals}"
                yield Task(label, partial(measure, bench, model, listeners, arrivals))


def measure(bench: Bench, model: str, listeners: int, arrivals: str) -> Row:
    """Let a crowd hear the engine, which has a slot for each of them."""
    loaded, scale = bench.model(model), bench.scale
    runner = ForcedRunner(
        loaded,
        slots=listeners,
        length=bench.length(loaded),
        patches=scale.spoken,
        capture=bench.capture(),
    )
    runner.capture(CAPTURE_SECONDS)
    engine = start(runner)
    try:
        warm_up(engine, listeners)
        runner.forget()
        times = arrival_times(arrivals, listeners, scale.spoken * runner.patch_seconds, scale.span)
        crowd = attend(engine, times)
    finally:
        engine.stop()
    firsts = [heard.first * 1e3 for heard in crowd if heard.first is not None]
    p50, p90, p99 = np.percentile(firsts, (50, 90, 99)).tolist() if firsts else (None,) * 3
    turns = [after - before for before, after in pairwise(runner.ended)]
    span = runner.ended[-1] - runner.begun[0] if runner.ended else None
    return Row(
        model=model,
        dtype=bench.dtype,
        listeners=listeners,
        arrivals=arrivals,
        requests=len(crowd),
        refused=len(crowd) - len(firsts),
        first_p50_ms=p50,
        first_p90_ms=p90,
        first_p99_ms=p99,
        gap_ms=max(heard.gap for heard in crowd) * 1e3,
        underruns=sum(heard.underruns for heard in crowd),
        rtf=median(turns) / runner.patch_seconds if turns else None,
        audio_per_second=runner.made * runner.patch_seconds / span if span else None,
    )


def start(runner: ModelRunner) -> BatchedEngine:
    """Start the engine as the server does."""
    return BatchedEngine(runner, rows_per_step=runner.slots, max_waiting=512, max_wait=30.0)


def utterance(seed: int) -> Utterance:
    """Return what every listener asks for, with a seed of its own."""
    options = {"cfg_value": CFG, "inference_steps": STEPS}
    return Utterance((Segment(TEXT),), VOICE, options, seed=seed)


def warm_up(engine: BatchedEngine, listeners: int) -> None:
    """Let the crowd's batch run once, as fast as it goes."""
    streams = [engine.speak(utterance(seed)) for seed in range(listeners)]
    for stream in streams:
        for _ in stream:
            pass


def arrival_times(arrivals: str, listeners: int, seconds: float, span: float) -> list[float]:
    """Return when each request comes, in seconds: all at once, or one by one at random.

    In a Poisson crowd so many come in the ``seconds`` of an utterance as there are listeners, for
    ``span`` seconds, and at least four.
    """
    if arrivals == "burst":
        return [0.0] * listeners
    rate = listeners / seconds
    draw = random.Random(listeners)
    return list(accumulate(draw.expovariate(rate) for _ in range(max(4, round(rate * span)))))


def attend(engine: BatchedEngine, times: Sequence[float]) -> list[Heard]:
    """Let listeners come at these times; return how they fared."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(max_workers=len(times)) as pool:
        futures = []
        for seed, moment in enumerate(times):
            _sleep_until(begun + moment)
            futures.append(pool.submit(listen, engine, utterance(seed)))
        return [future.result() for future in futures]


def listen(engine: BatchedEngine, asked_for: Utterance) -> Heard:
    """Hear an utterance as a player does: a little ahead of what is played, and no more."""
    asked = time.perf_counter()
    first, gap, underruns, played = None, 0.0, 0, asked
    try:
        with closing(engine.speak(asked_for)) as stream:
            waiting = time.perf_counter()
            for chunk in stream:
                came = time.perf_counter()
                if first is None:
                    first = came - asked
                else:
                    gap = max(gap, came - waiting)
                    underruns += came > played
                played = max(played, came) + len(chunk.samples) / engine.sample_rate
                _sleep_until(played - LEAD)
                waiting = time.perf_counter()
    except Overloaded:
        return Heard()
    return Heard(first, gap, underruns)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))
