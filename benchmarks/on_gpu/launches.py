"""Launches: how many things the device is told in a step, and how long it is busy with them.

A part of its own and the last one: what the profiler leaves behind slows down Python's calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from torch.profiler import ProfilerActivity, profile

from benchmarks.on_gpu.bench import Bench, Task
from benchmarks.on_gpu.steps import stepper

COLUMNS = {"model": "model", "rows": "rows", "launches": "launches a step", "busy_ms": "busy ms"}


@dataclass(frozen=True, slots=True)
class Row:
    """``launches``: kernels and copies of a step; ``busy_ms``: how long they run, summed up.

    On a CPU, where nothing is launched: operators, each with all that it calls.
    """

    model: str
    dtype: str
    rows: int
    launches: int
    busy_ms: float


def tasks(bench: Bench) -> Iterator[Task]:
    """All models at the numbers of rows that tell most."""
    for model in bench.scale.models:
        for rows in bench.scale.first:
            yield Task(f"{model}, {rows} rows", partial(measure, bench, model, rows))


def measure(bench: Bench, model: str, rows: int) -> Row:
    """Watch one step."""
    step = stepper(bench, bench.model(model), rows)
    for _ in range(bench.scale.warm):
        step()
    bench.synchronize()
    watched = ProfilerActivity.CUDA if bench.on_gpu else ProfilerActivity.CPU
    with profile(activities=[watched]) as seen:
        step()
        bench.synchronize()
    events = [event for event in seen.events() or () if event.device_type.name == watched.name]
    if not events:
        raise RuntimeError("the profiler saw nothing: it may not count on this machine.")
    return Row(
        model=model,
        dtype=bench.dtype,
        rows=rows,
        launches=len(events),
        busy_ms=sum(event.time_range.elapsed_us() for event in events) / 1e3,
    )
