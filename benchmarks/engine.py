"""The runtime next to the ``voxcpm`` package, on random weights of the true size.

    python benchmarks/engine.py [--model 1.5|0.5B|2] [--streams 1,2,4,8] [--json FILE] [--help]

Both in one process, in turn, the same weights, text of 60 tokens, number of patches, steps and
guidance; medians over the repeats.  Ours steps all streams together.  The package makes one
request at a time (two at once change each other's audio): a patch of each of N streams takes it N
times as long as one.  It runs in float32 or bfloat16, whichever is the faster here.  Where both
would need more than 20 GB, each has the machine for itself and all its repeats.

- s/patch: seconds until each of the streams has its next patch, all of the work, decoding too.
- audio-s/s: seconds of audio made in a second, all streams together.
- first patch: one stream, from the text to the samples of its first patch.
- error: how far the latents of the first patch are from float32's, of their own length.
- worst: the lowest ratio of the repeats, each with the package's run beside it.

Needs what the upstream engine needs: the extra ``upstream`` and ``pip install --no-deps voxcpm``.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import json
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stderr
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import click
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the tests' checkpoints and stand-ins

from benchmarks import checkpoints
from benchmarks.checkpoints import TEXT, TOKENS
from voxcpm_openai import Segment, Utterance, Voice
from voxcpm_openai.runtime.job import Budget, Job
from voxcpm_openai.runtime.loader import DTYPES, load_model
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.runtime.runner import ModelRunner

CFG = 2.0
TOGETHER_BYTES = 20e9
WARM_PATCHES = 4
"""The package decodes the last three patches at each step: from the third on all cost the same."""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds of one run: until all streams have their first patch, and a later one."""

    first: float
    patch: float


@dataclass(frozen=True, slots=True)
class Side:
    """Medians of one side: seconds, seconds of audio made in a second, GiB that it takes."""

    dtype: str
    patch: float
    first: float
    audio_per_second: float
    memory: float


@dataclass(frozen=True, slots=True)
class Row:
    """One number of streams.  ``split``: our seconds a step by part of the model."""

    model: str
    streams: int
    steps: int
    dtype: str
    in_turn: bool
    ours: Side
    upstream: Side
    ratio: float
    worst: float
    first_ratio: float
    error: float
    peak_memory: float
    split: dict[str, float]


class Ours:
    """The runtime, without the engine's thread."""

    def __init__(self, folder: Path, dtype: str, slots: int, patches: int) -> None:
        before = _resident()
        self.dtype = dtype
        self.model = load_model(folder, "cpu", dtype)
        prompts, length = Prompts(self.model, "random"), TOKENS + 2 + max(patches, 8)
        self.runner = ModelRunner(self.model, prompts, slots=slots, length=length)
        self.run(slots, 2, WARM_PATCHES)
        self.memory = _resident() - before

    def run(self, streams: int, steps: int, patches: int) -> Run:
        """Make so many patches of each stream."""
        begun = time.perf_counter()
        segment = Segment(TEXT)
        utterance = Utterance((segment,), Voice("random", "Random"))
        for slot in range(streams):
            plan = self.runner.prepare(utterance, segment)
            budget = Budget.of(TEXT, self.runner.patch_seconds, plan.room)
            rate = self.runner.sample_rate
            job = Job(0, segment, plan, budget, rate, root=slot, cfg=CFG, steps=steps)
            self.runner.admit(slot, job)
        marks = []
        for _ in range(patches):
            self.runner.launch(range(streams)).samples()
            marks.append(time.perf_counter())
        for slot in range(streams):
            self.runner.release(slot)
        return _run(begun, marks)

    def split(self, streams: int, steps: int) -> dict[str, float]:
        """Return the seconds of a step by part of the model."""
        model, spent = self.model, defaultdict[str, list[float]](list)
        places: list[tuple[object, str, str]] = [
            (model.base, "step", "base LM"),
            (model.residual, "step", "residual LM"),
            (model, "local", "LocEnc"),
            (model, "flow", "LocDiT"),
            (model, "decoder", "VAE"),
        ]
        with ExitStack() as stack:
            for owner, attribute, name in places:
                timed = _timed(getattr(owner, attribute), spent[name])
                stack.enter_context(patch.object(owner, attribute, timed))
            whole = self.run(streams, steps, 8).patch
        parts = {name: median(seconds) for name, seconds in spent.items()}
        return {**parts, "rest": whole - sum(parts.values())}


def first_latents(folder: Path, dtype: str, steps: int) -> Tensor:
    """Return the latents of a first patch, ``[P, C]``, from noise that is always the same."""
    model = load_model(folder, "cpu", dtype)
    slots = model.new_slots(1, TOKENS + 2)
    model.prefill(slots, 0, model.tokens(TEXT))
    patch, channels = model.latent_shape
    noise = torch.randn(1, channels, patch, generator=torch.Generator().manual_seed(1))  # [1, C, P]
    return model.step(slots, [0], noise, [steps], torch.tensor([CFG]))[0][0]  # [P, C]


def error_of(folder: Path, dtype: str, steps: int) -> float:
    """Return how far a dtype leads from float32; 0.01 is one per cent."""
    exact, near = (first_latents(folder, kind, steps) for kind in ("float32", dtype))
    return float((near - exact).norm() / exact.norm())


def _timed(part: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    def call(*args: object) -> object:
        begun = time.perf_counter()
        result = part(*args)
        spent.append(time.perf_counter() - begun)
        return result

    return call


class Upstream:
    """The package as it is, streaming."""

    def __init__(self, folder: Path, kind: str, dtype: str) -> None:
        before = _resident()
        self.dtype = dtype
        config = folder / "config.json"
        content = json.loads(config.read_text(encoding="utf-8"))
        config.write_text(json.dumps({**content, "dtype": dtype}), encoding="utf-8")
        with redirect_stderr(io.StringIO()):  # it reports its progress there
            oracle = importlib.import_module("tests.runtime.oracle")  # late: it loads the package
            self.model = oracle.Oracle(folder, kind).model
        self.run(2, WARM_PATCHES)
        self.memory = _resident() - before

    def run(self, steps: int, patches: int) -> Run:
        """Make so many patches of one stream."""
        with redirect_stderr(io.StringIO()):  # it reports its progress there
            begun = time.perf_counter()
            chunks = self.model.generate_streaming(
                TEXT, min_len=patches, max_len=patches, inference_timesteps=steps, cfg_value=CFG
            )
            marks = [time.perf_counter() for _ in chunks]
        return _run(begun, marks)


def _run(begun: float, marks: Sequence[float]) -> Run:
    return Run(marks[0] - begun, median(after - before for before, after in pairwise(marks[2:])))


def _resident() -> float:
    """GiB of memory in use, less what was freed and kept for the next who asks."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def best_upstream(folder: Path, kind: str, steps: int) -> Upstream:
    """Load the package in the dtype in which it is the faster."""
    seconds = {}
    for dtype in ("bfloat16", "float32"):  # one at a time in memory
        seconds[dtype] = Upstream(folder, kind, dtype).run(steps, 8).patch
        click.echo(f"upstream in {dtype}: {seconds[dtype]:.3f} s/patch")
    return Upstream(folder, kind, min(seconds, key=seconds.__getitem__))


def measure(
    folder: Path, model: str, streams: list[int], steps: int, patches: int, repeats: int, dtype: str
) -> list[Row]:
    """Measure the checkpoint in ``folder`` of a ``model``, one of ``checkpoints.KINDS``."""
    error = 0.0 if dtype == "float32" else error_of(folder, dtype, steps)
    upstream = best_upstream(folder, checkpoints.KINDS[model], steps)
    their_dtype, their_memory = upstream.dtype, upstream.memory
    whole = (folder / "model.safetensors").stat().st_size  # in float32
    in_turn = sum(DTYPES[one].itemsize / 4 * whole for one in (dtype, their_dtype)) > TOGETHER_BYTES
    theirs: list[Run] = []
    if in_turn:
        click.echo("Both together need more than 20 GB: each runs all its repeats by itself.")
        theirs = [upstream.run(steps, patches) for _ in range(repeats)]
        del upstream
    ours = Ours(folder, dtype, max(streams), patches)
    made: dict[int, list[Run]] = {count: [] for count in (1, *streams)}
    for _ in range(repeats):
        if not in_turn:
            theirs.append(upstream.run(steps, patches))
        for count, runs in made.items():
            runs.append(ours.run(count, steps, patches))
    their_patch, our_first = median(run.patch for run in theirs), median(r.first for r in made[1])
    their_first, sound = median(run.first for run in theirs), ours.runner.patch_seconds
    rows = []
    for count in streams:
        patch_s = median(run.patch for run in made[count])
        pairs = zip(theirs, made[count], strict=True)
        rows.append(
            Row(
                model=model,
                streams=count,
                steps=steps,
                dtype=dtype,
                in_turn=in_turn,
                ours=Side(dtype, patch_s, our_first, count * sound / patch_s, ours.memory),
                upstream=Side(
                    their_dtype, count * their_patch, their_first, sound / their_patch, their_memory
                ),
                ratio=count * their_patch / patch_s,
                worst=min(count * their.patch / our.patch for their, our in pairs),
                first_ratio=their_first / our_first,
                error=error,
                peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
                split=ours.split(count, steps),
            )
        )
    return rows


def print_table(rows: Sequence[Row]) -> None:
    """Print a line for each number of streams, then what does not depend on it."""
    top = rows[0]
    ours, upstream = top.ours, top.upstream
    click.echo(f"VoxCPM {top.model}, {top.steps} steps, {ours.dtype}; upstream {upstream.dtype}")
    click.echo("streams   s/patch: ours  upstream  ratio  worst   audio-s/s: ours  upstream")
    for row in rows:
        click.echo(
            f"{row.streams:7}{row.ours.patch:16.3f}{row.upstream.patch:10.3f}{row.ratio:6.2f}x"
            f"{row.worst:6.2f}x{row.ours.audio_per_second:18.3f}"
            f"{row.upstream.audio_per_second:10.3f}"
        )
    click.echo(
        f"first patch of {TOKENS} tokens: ours {ours.first:.3f} s, "
        f"upstream {upstream.first:.3f} s, {top.first_ratio:.2f}x"
    )
    click.echo(f"error of the first patch against float32: {top.error:.2%}")
    click.echo(
        f"memory: ours {ours.memory:.1f} GiB, upstream {upstream.memory:.1f} GiB; "
        f"peak of the process {top.peak_memory:.1f} GiB"
    )
    click.echo("ours by part, ms a step:")
    for row in rows:
        parts = ", ".join(f"{name} {seconds * 1e3:.0f}" for name, seconds in row.split.items())
        click.echo(f"{row.streams:7} {parts}")


@click.command()
@click.option("--model", type=click.Choice(list(checkpoints.KINDS)), default="1.5")
@click.option("--streams", default="1,2,4,8", show_default=True)
@click.option("--steps", type=click.IntRange(2), default=10, show_default=True)
@click.option("--patches", type=click.IntRange(WARM_PATCHES, 200), default=8, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="float32", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=torch.get_num_threads())
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="For weights.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path))
def main(
    model: str, streams: str, threads: int, folder: Path | None, out: Path | None, **options: Any
) -> None:
    """Compare the runtime with the voxcpm package."""
    torch.set_num_threads(threads)
    try:
        counts = [int(part) for part in streams.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{streams!r} should be whole numbers, as in 1,8.") from error
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = checkpoints.make(folder or Path(scratch), model)
        rows = measure(checkpoint, model, counts, **options)
    print_table(rows)
    if out is not None:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
