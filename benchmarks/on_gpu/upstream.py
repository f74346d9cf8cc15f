"""The ``voxcpm`` package on the same weights, one stream, ours and theirs in turn."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import torch

from benchmarks.checkpoints import TEXT
from benchmarks.on_gpu.batch import Batch, Run, run_of
from benchmarks.on_gpu.bench import CFG, STEPS, Bench, Task

NEEDED = ("voxcpm", "transformers", "einops", "pydantic", "huggingface_hub", "tqdm")

COLUMNS = {
    "model": "model",
    "dtype": "dtype",
    "ours_ms": "ms a patch: ours",
    "upstream_ms": "upstream",
    "ratio": "ratio",
    "worst": "worst",
    "ours_first_ms": "first patch ms: ours",
    "upstream_first_ms": "upstream",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One stream of each side: medians, milliseconds.  ``worst``: the lowest ratio of a pair."""

    model: str
    dtype: str
    ours_ms: float
    upstream_ms: float
    ratio: float
    worst: float
    ours_first_ms: float
    upstream_first_ms: float


def missing(_: Bench) -> list[str]:
    """Return the packages that this part needs and this machine has not."""
    return [name for name in NEEDED if find_spec(name) is None]


def tasks(bench: Bench) -> Iterator[Task]:
    """Each model."""
    for model in bench.scale.models:
        yield Task(model, partial(measure, bench, model), telling=True)


def measure(bench: Bench, model: str) -> Row:
    """Let both speak in turn."""
    theirs, ours = Package(bench, model), Batch(bench, model, 1)
    theirs.run()
    ours.run()
    pairs = [(ours.run(), theirs.run()) for _ in range(bench.scale.repeats)]
    patch = [median(run.patch for run in side) for side in zip(*pairs, strict=True)]
    first = [median(run.first for run in side) for side in zip(*pairs, strict=True)]
    return Row(
        model=model,
        dtype=bench.dtype,
        ours_ms=patch[0],
        upstream_ms=patch[1],
        ratio=patch[1] / patch[0],
        worst=min(their.patch / our.patch for our, their in pairs),
        ours_first_ms=first[0],
        upstream_first_ms=first[1],
    )


class Package:
    """The package as it is, streaming; on a GPU it compiles itself first."""

    def __init__(self, bench: Bench, model: str) -> None:
        from voxcpm_openai.runtime import upstream  # late: it may not be loadable here

        self._scale = bench.scale
        with redirect_stderr(io.StringIO()):  # it reports its progress there
            self._model: Any = upstream.load(
                bench.folder(model),
                bench.device.type,  # it compiles itself for "cuda" and not for "cuda:0"
                bench.dtype,
                threads=torch.get_num_threads(),  # as they are
            )

    def run(self) -> Run:
        """Make as many patches of one stream as ``Batch`` does."""
        patches = self._scale.warm + self._scale.patches
        with redirect_stderr(io.StringIO()):
            begun = time.perf_counter()
            chunks = self._model.generate_streaming(
                TEXT, min_len=patches, max_len=patches, inference_timesteps=STEPS, cfg_value=CFG
            )
            marks = [time.perf_counter() for _ in chunks]
        return run_of(begun, marks, self._scale.warm)
