"""The engine with its thread, and clients that take its audio at the speed of speech."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate, pairwise
from statistics import median

from benchmarks.gpu.bench import Bench, Task
from benchmarks.lib.listen import listen
from benchmarks.lib.models import FixedLengthRunner, running, utterance, warm_graphs
from benchmarks.lib.report import Row, percentiles
from voxcpm_openai.load_test import Reply
from voxcpm_openai.runtime.engine.engine import BatchedEngine

LEAD_SECONDS = 0.5  # the audio that a player buffers before it takes no more
CAPTURE_SECONDS = 60.0  # how long graphs are captured before the clients come
ARRIVALS = ("burst", "poisson")


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield all of a model before the next model; the most listeners of the first one are early."""
    largest = bench.scale.models[0], max(bench.scale.listeners)
    for model in bench.scale.models:
        for listeners in bench.scale.listeners:
            for arrivals in ARRIVALS:
                label = f"{model}, {listeners} listeners, {arrivals}"
                found = partial(measure, bench, model, listeners, arrivals)
                yield Task(label, found, (model, listeners) == largest)


def measure(bench: Bench, model: str, listeners: int, arrivals: str) -> Row:
    """Run the engine with a slot for each listener.

    ``rtf``: the median time from one step to the next by the length of a patch.
    ``audio_per_second``: audio made, from the first step to the last; Poisson arrivals bound it.
    """
    runner = fixed_runner(bench, model, listeners)
    runner.capture(CAPTURE_SECONDS)
    warm_graphs(runner, listeners)
    runner.reset()
    with running(runner) as engine:
        seconds = bench.scale.spoken * runner.patch_seconds
        replies = attend(engine, arrival_times(arrivals, listeners, seconds, bench.scale.span))
    good = [reply for reply in replies if reply.fault is None]
    between = [after - before for before, after in pairwise(runner.ended)]
    audio = runner.made * runner.patch_seconds
    return {
        **bench.row(model),
        "listeners": listeners,
        "arrivals": arrivals,
        "requests": len(replies),
        "refused": len(replies) - len(good),
        **percentiles("first", (reply.first_byte for reply in good)),
        "gap_ms": max((reply.longest_gap for reply in good), default=0.0) * 1e3,
        "underruns": sum(reply.underruns for reply in good),
        "rtf": median(between) / runner.patch_seconds if between else None,
        "audio_per_second": audio / (runner.ended[-1] - runner.begun[0]) if good else None,
    }


def fixed_runner(
    bench: Bench, model: str, slots: int, length: int | None = None
) -> FixedLengthRunner:
    loaded = bench.model(model)
    length = min(length or bench.length(loaded), bench.length(loaded))
    spoken = bench.scale.spoken
    return FixedLengthRunner(
        loaded, lambda _: spoken, slots=slots, length=length, capture=bench.capture()
    )


def arrival_times(arrivals: str, listeners: int, seconds: float, span: float) -> tuple[float, ...]:
    """Return when each request comes, in seconds: all at once, or as a Poisson process.

    On average, ``listeners`` arrive in the ``seconds`` of an utterance, for ``span`` seconds, and
    at least four.
    """
    if arrivals == "burst":
        return (0.0,) * listeners
    rate = listeners / seconds
    draw = random.Random(listeners)
    return tuple(accumulate(draw.expovariate(rate) for _ in range(max(4, round(rate * span)))))


def attend(engine: BatchedEngine, times: Sequence[float]) -> list[Reply]:
    begun = time.perf_counter()

    def arrive(seed: int) -> Reply:
        time.sleep(max(0.0, begun + times[seed] - time.perf_counter()))
        return listen(engine, utterance(seed), lead=LEAD_SECONDS)

    with ThreadPoolExecutor(max_workers=len(times)) as pool:
        return list(pool.map(arrive, range(len(times))))
