"""Steps: how long one takes by the number of its rows, where the time goes, and the first patch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.checkpoints import TEXT
from benchmarks.on_gpu.batch import Batch
from benchmarks.on_gpu.bench import CFG, STEPS, Bench, Mark, Task
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

GOALS = {("2", 1): 0.032, ("2", 64): 0.12, ("1.5", 1): 0.018, ("1.5", 64): 0.055}
"""Real-time factors to reach on an H100, by model and rows."""
FLOORS = {
    "2": {1: 2.3, 8: 2.3, 32: 4.7, 64: 8.2},
    "1.5": {1: 1.0, 8: 1.1, 32: 2.1, 64: 3.9},
}
"""Milliseconds under which no step on an H100 can be: its arithmetic, and the bytes it reads."""

COLUMNS = {
    "model": "model",
    "rows": "rows",
    "dtype": "dtype",
    "step_ms": "ms a step",
    "floor_ms": "floor",
    "rtf": "RTF",
    "goal_rtf": "goal",
    "audio_per_second": "audio-s/s",
    "first_ms": "first patch ms",
    "host_ms": "Python ms",
    "base_ms": "base LM",
    "residual_ms": "residual",
    "encoder_ms": "LocEnc",
    "dit_ms": "LocDiT",
    "vae_ms": "VAE",
    "rest_ms": "rest",
    "peak_gib": "GiB",
}


@dataclass(frozen=True, slots=True)
class Inside:
    """A step without the copy of its sound: medians in milliseconds.

    ``host_ms``: until Python has told the device everything.
    """

    host_ms: float
    base_ms: float
    residual_ms: float
    encoder_ms: float
    dit_ms: float
    vae_ms: float
    rest_ms: float


@dataclass(frozen=True, slots=True)
class Row(Inside):
    """A number of rows.  Milliseconds; medians.

    ``first_ms``: until all of them have their first patch, from the text on, when they come
    together.  ``rtf``: seconds that a row takes for a second of its sound.
    """

    model: str
    rows: int
    dtype: str
    step_ms: float
    floor_ms: float | None
    rtf: float
    goal_rtf: float | None
    audio_per_second: float
    first_ms: float
    peak_gib: float | None


def tasks(bench: Bench) -> Iterator[Task]:
    """All models at the numbers of rows that tell most; then the sweep, small batches first."""
    for counts in (bench.scale.first, bench.scale.sweep):
        for model in bench.scale.models:
            for rows in counts:
                found = partial(measure, bench, model, rows)
                yield Task(f"{model}, {rows} rows", found, telling=counts is bench.scale.first)


def measure(bench: Bench, model: str, rows: int) -> Row:
    """Step so many rows together."""
    bench.model(model)
    bench.begin_peak()
    batch = Batch(bench, model, rows)
    batch.run()
    runs = [batch.run() for _ in range(bench.scale.repeats)]
    peak, patch_ms = bench.peak_memory(), batch.patch_ms
    del batch  # its slots would stand beside those below
    step_ms = median(run.patch for run in runs)
    true = bench.scale.size == "true"
    return Row(
        model=model,
        rows=rows,
        dtype=bench.dtype,
        step_ms=step_ms,
        floor_ms=FLOORS[model].get(rows) if true else None,
        rtf=step_ms / patch_ms,
        goal_rtf=GOALS.get((model, rows)) if true else None,
        audio_per_second=rows * patch_ms / step_ms,
        first_ms=median(run.first for run in runs),
        peak_gib=peak,
        **asdict(inside(bench, bench.model(model), rows)),
    )


def inside(bench: Bench, model: VoxCPM, rows: int) -> Inside:
    """Look into the steps of so many rows."""
    step = stepper(bench, model, rows)
    for _ in range(bench.scale.warm):
        step()
    hosts = []
    for _ in range(bench.scale.patches):
        bench.synchronize()
        begun = time.perf_counter()
        step()
        hosts.append((time.perf_counter() - begun) * 1e3)
    places: list[tuple[object, str, str]] = [
        (model.base, "step", "base_ms"),
        (model.residual, "step", "residual_ms"),
        (model, "local", "encoder_ms"),
        (model, "flow", "dit_ms"),
        (model, "decoder", "vae_ms"),
    ]
    spans: dict[str, list[tuple[Mark, Mark]]] = {name: [] for _, _, name in places}
    whole: list[tuple[Mark, Mark]] = []
    with ExitStack() as stack:
        for owner, attribute, name in places:
            part = _marked(bench, getattr(owner, attribute), spans[name])
            stack.enter_context(patch.object(owner, attribute, part))
        marked = _marked(bench, step, whole)
        for _ in range(bench.scale.patches):
            marked()
    bench.synchronize()
    parts = {name: _middle(pairs) for name, pairs in spans.items()}
    rest = _middle(whole) - sum(parts.values())
    return Inside(host_ms=median(hosts), rest_ms=rest, **parts)


def stepper(bench: Bench, model: VoxCPM, rows: int) -> Callable[[], None]:
    """Return what steps so many rows, once a call, as the runner does, but copies nothing back."""
    slots = model.new_slots(rows, bench.length(model))
    ids, every = model.tokens(TEXT), list(range(rows))
    for slot in every:
        model.prefill(slots, slot, ids)
    frames, channels = model.latent_shape
    seeded = torch.Generator().manual_seed(1)
    noise = torch.randn(rows, channels, frames, generator=seeded).to(model.device)  # [B, C, P]
    cfg = torch.full((rows,), CFG).to(model.device)  # [B]

    def step() -> None:
        latents, _ = model.step(slots, every, noise, [STEPS] * rows, cfg)  # [B, P, C]
        model.decode(slots, every, latents)

    return step


def _marked(
    bench: Bench, part: Callable[..., Any], spans: list[tuple[Mark, Mark]]
) -> Callable[..., Any]:
    def call(*args: object) -> object:
        begun = bench.mark()
        result = part(*args)
        spans.append((begun, bench.mark()))
        return result

    return call


def _middle(spans: list[tuple[Mark, Mark]]) -> float:
    return median(begun.until(ended) for begun, ended in spans)
