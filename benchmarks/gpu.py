"""The runtime on a GPU: is it right there, how fast is it, how many can listen.

    python benchmarks/gpu.py --part all --state DIR [--weights DIR] [--json FILE]
                             [--device cuda] [--size true]

Needs torch (2.5 or newer), numpy, safetensors and tokenizers, and nothing to be installed; the
parts ``nano``, ``http`` and ``upstream`` need packages and are left out where these are not.
Weights are random, of the true sizes, made at the first need (7 GB on a GPU); lengths are forced.

- nano: nano-vllm-voxcpm on the same weights, both engines in turn, streams that come together.
- http: the whole server over HTTP, heard by many.
- parity: the tests' tiny checkpoints, against our own float32 on the CPU; a row alone and among
  others; CUDA graphs and the same operators one by one.  float32 must keep within 1e-4; bfloat16
  is told.
- step: VoxCPM2 and 1.5, 10 steps, guidance 2: a step by the number of rows and the first patch from
  the text on, in CUDA graphs; without these the split by module and Python's time; memory; beside
  it the goals, and the floors that were computed for an H100.
- kernels: each of Triton's kernels against PyTorch's operators, at the sizes of both models.
- upstream: the package as it is on the same weights, one stream, in turn with ours.
- engine: the whole engine, heard by many at the speed of speech, all at once or one by one.
- memory: how many slots fit, and what a request gets when nothing is left.
- launches: how many kernels a step has without graphs, and how long the device is busy with them.

``all`` takes of each part what tells most, in this order, and then the rest.  A call begins no row
after 400 seconds, which makes 8 to 9 minutes; what is done is kept in ``DIR/rows.jsonl``, and the
same command goes on from there, after an interruption too, or on another machine of the kind that
was given that file.  Begin a new folder for other code.  docs/gpu.md says how to run it all.

``--kernels triton`` is all of it again with Triton's kernels in the models, kept beside the rest.
``--device cpu --size tiny`` tries the script in a minute: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the tests' checkpoints and streams

from benchmarks.on_gpu import (
    kernels,
    launches,
    listeners,
    memory,
    nano,
    parity,
    served,
    steps,
    upstream,
)
from benchmarks.on_gpu.bench import TINY, TRUE, Bench, Task
from benchmarks.on_gpu.ledger import Ledger
from benchmarks.on_gpu.machine import Machine
from voxcpm_openai.errors import VoxcpmError

CALL_SECONDS = 400.0
"""No row is begun later than this: with the longest row it makes 8 to 9 minutes."""


def _nothing(_: Bench) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Part:
    """``columns``: the fields of a row that its table shows, and their headings.

    ``missing``: what it needs beside torch and is not here; it is left out for want of that.
    """

    tasks: Callable[[Bench], Iterator[Task]]
    columns: Mapping[str, str]
    missing: Callable[[Bench], list[str]] = _nothing


PARTS = {
    "nano": Part(nano.tasks, nano.COLUMNS, nano.missing),
    "http": Part(served.tasks, served.COLUMNS, served.missing),
    "parity": Part(parity.tasks, parity.COLUMNS),
    "step": Part(steps.tasks, steps.COLUMNS),
    "kernels": Part(kernels.tasks, kernels.COLUMNS),
    "upstream": Part(upstream.tasks, upstream.COLUMNS, upstream.missing),
    "engine": Part(listeners.tasks, listeners.COLUMNS),
    "memory": Part(memory.tasks, memory.COLUMNS),
    "launches": Part(launches.tasks, launches.COLUMNS),
}


def run_part(
    name: str,
    bench: Bench,
    ledger: Ledger,
    until: float = math.inf,
    telling: bool | None = None,
) -> int:
    """Measure the rows that are not done; return how many are still not.

    ``until``: a moment of the monotonic clock after which no row is begun.  ``telling``: take only
    those that tell most, or only the others.  A row that fails is told and passed over: the others
    may be had all the same.
    """
    done = ledger.rows(name)
    tasks = [task for task in PARTS[name].tasks(bench) if task.label not in done]
    tasks = [task for task in tasks if telling in (None, task.telling)]
    left = len(tasks)
    try:
        for task in tasks:
            if time.monotonic() > until:
                print(f"{name}: the time is up; the same command goes on with {left} more rows.")
                break
            print(f"{name}: {task.label}", flush=True)
            try:
                row = task.measure()
            except (RuntimeError, ImportError, VoxcpmError) as error:  # of the device, the engine
                print(f"{name}: {task.label} failed: {type(error).__name__}: {error}", flush=True)
                bench.give_up()
                continue
            ledger.add(name, task.label, asdict(row))
            left -= 1
    finally:
        bench.dismiss()
    return left


def run_parts(names: Sequence[str], bench: Bench, ledger: Ledger) -> int:
    """Measure what tells most of each part, then the rest; return how many rows are left."""
    until, left = time.monotonic() + CALL_SECONDS, 0
    missing = {name: PARTS[name].missing(bench) for name in names}
    for name in names:
        if missing[name]:
            print(f"{name} is left out for want of {', '.join(missing[name])}.")
    for telling in (True, False):
        for name in names:
            if missing[name]:
                continue
            count = len(ledger.rows(name))
            left += run_part(name, bench, ledger, until, telling)
            rows = list(ledger.rows(name).values())
            if len(rows) > count or (rows and not telling):
                print_table(PARTS[name].columns, rows)
    return left


def print_table(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print these fields of the rows under their headings."""
    cells = [list(columns.values()), *([_cell(row[key]) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@contextmanager
def _engine_log(path: Path) -> Iterator[None]:
    """Write what the engine logs to a file: the part ``memory`` makes it fail on purpose."""
    logger, handler = logging.getLogger("voxcpm_openai"), logging.FileHandler(path)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; return 1 where rows are left."""
    parser = argparse.ArgumentParser(description="The runtime on a GPU.")
    parser.add_argument("--part", choices=[*PARTS, "all"], required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of the rows")
    parser.add_argument("--weights", type=Path, help="folder of the weights; else the state's")
    parser.add_argument("--json", type=Path, help="file for all rows that are done")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=("true", "tiny"), default="true")
    parser.add_argument("--kernels", choices=("torch", "triton"), default="torch")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device here; --device cpu --size tiny tries the script.")
    if options.size == "tiny":
        torch.set_num_threads(1)  # products so small gain nothing from more
    with tempfile.TemporaryDirectory() as scratch:
        kept = options.weights or options.state / "weights"
        weights = kept if options.size == "true" else Path(scratch)
        scale = TRUE if options.size == "true" else TINY
        bench = Bench(options.device, scale, weights, options.kernels)
        machine = Machine.of(bench.device)
        kind = options.size if options.kernels == "torch" else f"{options.size}, triton"
        ledger = Ledger(options.state, kind, machine)
        print(machine)
        with _engine_log(options.state / "engine.log"):
            left = run_parts([*PARTS] if options.part == "all" else [options.part], bench, ledger)
        if options.json is not None:
            entries = [asdict(entry) for entry in ledger.entries()]
            options.json.write_text(json.dumps(entries, indent=1) + "\n")
    return 1 if left else 0


def _end(number: int, _: object) -> None:
    """Let ``timeout`` end the processes of the guests too."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
