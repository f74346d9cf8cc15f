"""Memory: how many slots fit, and whether a request that does not fit is refused, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import torch

from benchmarks.checkpoints import TEXT
from benchmarks.on_gpu.bench import CFG, STEPS, Bench, Task
from benchmarks.on_gpu.listeners import ForcedRunner, start, utterance, warm_up
from voxcpm_openai import RequestError
from voxcpm_openai.runtime.memory import slot_bytes
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

FINEST = 16
"""The search ends when it knows the number of slots to one part in so many."""

COLUMNS = {
    "model": "model",
    "free_gib": "free GiB",
    "slot_mib": "MiB a slot",
    "predicted": "slots by that",
    "slots": "slots that step",
    "refused": "too much is",
    "state": "engine then",
    "speaks_again": "speaks again",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What fits beside a model; on a CPU only the search's end bounds it.

    ``predicted``: free memory by the size of a slot; ``slots``: the most that were made and
    stepped together.  ``refused``: the error of a request that found no memory left; ``state``:
    what the engine said of itself then; ``speaks_again``: whether it did when there was some.
    """

    model: str
    dtype: str
    length: int
    free_gib: float | None
    slot_mib: float
    predicted: int | None
    slots: int
    refused: str
    state: str
    speaks_again: bool


def tasks(bench: Bench) -> Iterator[Task]:
    """Each model."""
    for model in bench.scale.models:
        yield Task(model, partial(measure, bench, model))


def measure(bench: Bench, model: str) -> Row:
    """Find out both."""
    loaded = bench.model(model)
    length = bench.length(loaded)
    free, slot = bench.free_memory(), slot_bytes(loaded, length)
    refused, state, again = starve(bench, loaded)
    return Row(
        model=model,
        dtype=bench.dtype,
        length=length,
        free_gib=free / 2**30 if bench.on_gpu else None,
        slot_mib=slot / 2**20,
        predicted=free // slot if bench.on_gpu else None,
        slots=most_slots(bench, loaded),
        refused=refused,
        state=state,
        speaks_again=again,
    )


def most_slots(bench: Bench, model: VoxCPM) -> int:
    """Return how many slots can be made and stepped together: doubled, then halved in between."""
    fits, fails = 0, 1
    while fails <= bench.scale.most_slots and _steps(bench, model, fails):
        fits, fails = fails, 2 * fails
    if fails > bench.scale.most_slots:
        return fits
    while fails - fits > max(1, fits // FINEST):
        middle = (fits + fails) // 2
        if _steps(bench, model, middle):
            fits = middle
        else:
            fails = middle
    return fits


def _steps(bench: Bench, model: VoxCPM, count: int) -> bool:
    """Try a step of so many rows."""
    bench.free_memory()
    try:
        slots = model.new_slots(count, bench.length(model))
        ids, rows = model.tokens(TEXT), list(range(count))
        model.prefill(slots, 0, ids)
        for slot in rows[1:]:  # as long as the first; what is in them makes no difference here
            slots.fill(slot, slots.used[0])
        frames, channels = model.latent_shape
        noise = torch.randn(count, channels, frames)  # [B, C, P]
        cfg = torch.full((count,), CFG)  # [B]
        latents, _ = model.step(slots, rows, noise, [STEPS] * count, cfg)  # [B, P, C]
        model.decode(slots, rows, latents).cpu()
    except torch.OutOfMemoryError:
        return False
    return True


def starve(bench: Bench, model: VoxCPM) -> tuple[str, str, bool]:
    """Ask an engine for speech when no memory is left, and again when there is.

    Returns the error's name, empty if there was none; the engine's state; whether it spoke again.
    """
    runner = ForcedRunner(
        model,
        slots=2,
        length=bench.length(model),
        patches=bench.scale.spoken,
        capture=bench.capture(),
    )
    engine = start(runner)
    try:
        warm_up(engine, 2)
        refused = ""
        with _no_memory(bench, model):
            try:
                with closing(engine.speak(utterance(1))) as stream:
                    next(stream)
            except RequestError as error:
                refused = type(error).__name__
        state = str(engine.status()["state"])
        bench.free_memory()
        try:
            warm_up(engine, 1)
        except RequestError:
            return refused, state, False
        return refused, state, True
    finally:
        engine.stop()


@contextmanager
def _no_memory(bench: Bench, model: VoxCPM) -> Iterator[None]:
    """Take all memory of the device; on a CPU, where that is no test, say that there is none."""
    if not bench.on_gpu:
        none = torch.OutOfMemoryError("out of memory, as it would be")
        with patch.object(model, "arrive", side_effect=none):
            yield
        return
    bench.free_memory()
    taken = []
    total = torch.cuda.get_device_properties(bench.device).total_memory
    reserved = torch.cuda.memory_reserved(bench.device)
    # What this process has is all that it gets: the device is not filled for others.
    torch.cuda.set_per_process_memory_fraction(reserved / total, bench.device)
    try:
        size = 2**28  # bytes; what lies free between the weights is taken as well
        while size >= 512:
            try:
                taken.append(torch.empty(size, dtype=torch.uint8, device=bench.device))  # [size]
            except torch.OutOfMemoryError:
                size //= 2
        yield
    finally:
        taken.clear()
        torch.cuda.set_per_process_memory_fraction(1.0, bench.device)
