"""How many slots fit, and whether a request without memory is refused while the engine goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from unittest.mock import patch

import torch

from benchmarks.gpu.bench import Bench, Task
from benchmarks.gpu.engine import fixed_runner
from benchmarks.lib.models import running, stepper, utterance, warm_up
from benchmarks.lib.report import Row
from voxcpm_openai import RequestError
from voxcpm_openai.runtime.device.memory import model_memory
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

PRECISION = 16  # the search ends when the number of slots is known to one part in this many


def tasks(bench: Bench) -> Iterator[Task]:
    for model in bench.scale.models:
        yield Task(model, partial(measure, bench, model))


def measure(bench: Bench, model: str) -> Row:
    """Search for the slots that fit, and run an engine out of memory.

    ``predicted``: free memory by the size of a slot; ``slots``: the most that step together.
    ``refused``: the error of a request without memory; ``state``: the engine's then.
    """
    loaded = bench.model(model)
    length = bench.length(loaded)
    free = bench.free_memory()
    slot = model_memory(loaded.config, loaded.dtype, length).slot
    row = {"length": length, "free_gib": None, "slot_mib": slot / 2**20, "predicted": None}
    if bench.on_gpu:
        row |= {"free_gib": free / 2**30, "predicted": free // slot}
    starved = starve(bench, model)
    return {**bench.row(model), **row, **starved, "slots": most_slots(bench, loaded)}


def most_slots(bench: Bench, model: VoxCPM) -> int:
    """Return how many slots can be made and stepped together: doubled, then bisected."""
    fits, fails, limit = 0, 1, bench.scale.most_slots
    while fails <= limit and _steps(bench, model, fails):
        fits, fails = fails, 2 * fails
    while fails <= limit and fails - fits > max(1, fits // PRECISION):
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if _steps(bench, model, middle) else (fits, middle)
    return fits


def _steps(bench: Bench, model: VoxCPM, rows: int) -> bool:
    bench.free_memory()
    try:
        stepper(model, rows, bench.length(model))().cpu()  # [B, P, C]
    except torch.OutOfMemoryError:
        return False
    return True


def starve(bench: Bench, model: str) -> Row:
    """Send a request to an engine when no memory is left, and again when there is some."""
    refused, recovers = "", True
    with running(fixed_runner(bench, model, 2)) as engine:
        warm_up(engine, 2)
        with _no_memory(bench, bench.model(model)):
            try:
                with closing(engine.synthesize(utterance(1))) as stream:
                    next(stream)
            except RequestError as error:
                refused = type(error).__name__
        state = engine.status().state
        bench.free_memory()
        try:
            warm_up(engine, 1)
        except RequestError:
            recovers = False
    return {"refused": refused, "state": state, "recovers": recovers}


@contextmanager
def _no_memory(bench: Bench, model: VoxCPM) -> Iterator[None]:
    """Take all memory of the device; on a CPU, raise the error that this would cause."""
    if not bench.on_gpu:
        none = torch.OutOfMemoryError("out of memory, as it would be")
        with patch.object(model, "begin", side_effect=none):
            yield
        return
    bench.free_memory()
    taken = []
    total = torch.cuda.get_device_properties(bench.device).total_memory
    reserved = torch.cuda.memory_reserved(bench.device)
    # This process gets no more than it has: the device is not filled for others.
    torch.cuda.set_per_process_memory_fraction(reserved / total, bench.device)
    try:
        size = 2**28  # bytes; what is free between the weights is taken as well
        while size >= 512:
            try:
                taken.append(torch.empty(size, dtype=torch.uint8, device=bench.device))  # [size]
            except torch.OutOfMemoryError:
                size //= 2
        yield
    finally:
        taken.clear()
        torch.cuda.set_per_process_memory_fraction(1.0, bench.device)
