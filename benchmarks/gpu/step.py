"""Steps without the engine's thread: time and split, the ``voxcpm`` package beside, launches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.bench import Bench, Task
from benchmarks.lib.models import STEPS, Batch, Package, capture_wanted, split, stepper, synchronize
from benchmarks.lib.report import Row, versus
from voxcpm_openai.runtime.device.execution_path import ExecutionPath
from voxcpm_openai.testing.prediction import predicted

GOALS = {("2", 1): 0.032, ("2", 64): 0.12, ("1.5", 1): 0.018, ("1.5", 64): 0.055}
"""Real-time factors to reach on an H100, by model and rows."""
FLOORS = {"2": {1: 2.3, 8: 2.3, 32: 4.7, 64: 8.2}, "1.5": {1: 1.0, 8: 1.1, 32: 2.1, 64: 3.9}}
"""Milliseconds that a step on an H100 needs for its arithmetic and the bytes that it reads."""


def tasks(bench: Bench) -> Iterator[Task]:
    return bench.sweep("rows", measure)


def upstream_tasks(bench: Bench) -> Iterator[Task]:
    for model in bench.scale.models:
        yield Task(model, partial(measure_upstream, bench, model), early=True)


def launch_tasks(bench: Bench) -> Iterator[Task]:
    for model in bench.scale.models:
        for rows in bench.scale.first:
            yield Task(f"{model}, {rows} rows", partial(count_launches, bench, model, rows))


def measure(bench: Bench, model: str, rows: int) -> Row:
    """Step rows together, in CUDA graphs; then look into the steps without them.

    ``host_ms``: until Python has launched everything.
    """
    loaded, scale = bench.model(model), bench.scale
    bench.free_memory()
    if bench.on_gpu:
        torch.cuda.reset_peak_memory_stats(bench.device)
    batch = Batch(loaded, slots=rows, length=bench.length(loaded), capture=bench.capture())
    patch_seconds = batch.runner.patch_seconds
    patches = scale.warm + scale.patches
    batch.run(rows, patches, scale.warm)
    capture_wanted(batch.runner)
    runs = [batch.run(rows, patches, scale.warm) for _ in range(scale.repeats)]
    peak = torch.cuda.max_memory_allocated(bench.device) / 2**30 if bench.on_gpu else None
    del batch  # its slots would stand beside those below
    step = warm_stepper(bench, model, rows)
    hosts = []
    for _ in range(scale.patches):
        begun = time.perf_counter()
        step()
        hosts.append((time.perf_counter() - begun) * 1e3)
        synchronize(bench.device)
    patch = median(run.patch for run in runs)
    return {
        **bench.row(model),
        "rows": rows,
        "step_ms": patch * 1e3,
        "floor_ms": FLOORS[model].get(rows) if bench.true else None,
        "rtf": patch / patch_seconds,
        "goal_rtf": GOALS.get((model, rows)) if bench.true else None,
        "audio_per_second": rows * patch_seconds / patch,
        "first_ms": median(run.first for run in runs) * 1e3,
        "host_ms": median(hosts),
        "peak_gib": peak,
        **split(loaded, step, scale.patches),
    }


def measure_upstream(bench: Bench, model: str) -> Row:
    loaded, warm = bench.model(model), bench.scale.warm
    patches = warm + bench.scale.patches
    # It compiles itself for "cuda" and not for "cuda:0".
    theirs = Package(bench.folder(model), bench.device.type, bench.dtype)
    ours = Batch(loaded, slots=1, length=bench.length(loaded), capture=bench.capture())
    ours.run(1, patches, warm)
    capture_wanted(ours.runner)
    repeats = range(bench.scale.repeats + 1)
    pairs = [(ours.run(1, patches, warm), theirs.run(patches, warm)) for _ in repeats][1:]
    row = bench.row(model)
    for name in ("patch", "first"):
        sides = ([getattr(run, name) * 1e3 for run in side] for side in zip(*pairs, strict=True))
        mine, their = sides
        row |= versus(mine, their, "upstream", f"{name}_ms")
    return row


def count_launches(bench: Bench, model: str, rows: int) -> Row:
    """Count the kernels and copies of a step without graphs, and sum up their times.

    On a CPU, operators are counted, each with all that it calls.  The profiler slows down what
    comes after it.
    """
    step = warm_stepper(bench, model, rows)
    watched = ProfilerActivity.CUDA if bench.on_gpu else ProfilerActivity.CPU
    with profile(activities=[watched]) as seen:
        step()
        synchronize(bench.device)
    events = [event for event in seen.events() or () if event.device_type.name == watched.name]
    if not events:
        raise RuntimeError("the profiler saw nothing: it may not count on this machine.")
    busy_ms = sum(event.time_range.elapsed_us() for event in events) / 1e3
    path = ExecutionPath(bench.kernels, graphs=False)
    evaluations = len(bench.model(model).flow.schedule(STEPS).step_sizes)
    return {
        **bench.row(model),
        "rows": rows,
        "launches": len(events),
        "busy_ms": busy_ms,
        **predicted(bench.model(model).config, bench.model(model).dtype, path, rows, evaluations),
    }


def warm_stepper(bench: Bench, model: str, rows: int) -> Callable[[], object]:
    loaded = bench.model(model)
    step = stepper(loaded, rows, bench.length(loaded))
    for _ in range(bench.scale.warm):
        step()
    synchronize(bench.device)
    return step
