"""The runtime on a GPU: is it right there, how fast is it, how many can listen.

    python benchmarks/gpu.py --part all --state DIR [--json FILE] [--device cuda] [--size true]

Needs torch (2.5 or newer), numpy, safetensors and tokenizers, and nothing to be installed; the
part ``upstream`` needs the ``voxcpm`` package and is left out where that is not.  Weights are
random, of the true sizes, made at the first need in the state's folder (13 GB); lengths are forced.

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

A part takes up to 8 minutes and then stops; what is done is kept in ``DIR/rows.jsonl``, and the
same command goes on from there, after an interruption too, or on another machine of the kind that
was given that file.  Begin a new folder for other code.  All of it, each part in a process of its
own:

    for part in parity step kernels upstream engine memory launches; do
        timeout 540 python benchmarks/gpu.py --part $part --state gpu --json gpu.json; done

``--kernels triton`` is all of it again with Triton's kernels in the models, kept beside the rest.
``--device cpu --size tiny`` tries the script in a minute: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
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

from benchmarks.on_gpu import kernels, launches, listeners, memory, parity, steps, upstream
from benchmarks.on_gpu.bench import TINY, TRUE, Bench, Task
from benchmarks.on_gpu.ledger import Ledger
from benchmarks.on_gpu.machine import Machine
from voxcpm_openai.errors import VoxcpmError

PART_SECONDS = 400.0
"""No row is begun later than this after its part: with the longest row it makes 8 minutes."""


@dataclass(frozen=True, slots=True)
class Part:
    """``columns``: the fields of a row that its table shows, and their headings."""

    tasks: Callable[[Bench], Iterator[Task]]
    columns: Mapping[str, str]


PARTS = {
    "parity": Part(parity.tasks, parity.COLUMNS),
    "step": Part(steps.tasks, steps.COLUMNS),
    "kernels": Part(kernels.tasks, kernels.COLUMNS),
    "upstream": Part(upstream.tasks, upstream.COLUMNS),
    "engine": Part(listeners.tasks, listeners.COLUMNS),
    "memory": Part(memory.tasks, memory.COLUMNS),
    "launches": Part(launches.tasks, launches.COLUMNS),
}


def run_part(name: str, bench: Bench, ledger: Ledger, seconds: float = PART_SECONDS) -> int:
    """Measure the rows that are not done; return how many are still not.

    A row that fails is told and passed over: the others may be had all the same.
    """
    if name == "upstream" and (missing := upstream.missing()):
        print(f"upstream is left out: {', '.join(missing)} would have to be installed.")
        return 0
    done = ledger.rows(name)
    tasks = [task for task in PARTS[name].tasks(bench) if task.label not in done]
    left, deadline = len(tasks), time.monotonic() + seconds
    for task in tasks:
        if time.monotonic() > deadline:
            print(f"{name}: its time is up; the same command goes on with the other {left} rows.")
            break
        print(f"{name}: {task.label}", flush=True)
        try:
            row = task.measure()
        except (RuntimeError, ImportError, VoxcpmError) as error:  # of the device, the engine, ...
            print(f"{name}: {task.label} failed: {type(error).__name__}: {error}", flush=True)
            continue
        ledger.add(name, task.label, asdict(row))
        left -= 1
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
    parser.add_argument("--state", type=Path, required=True, help="folder of rows and weights")
    parser.add_argument("--json", type=Path, help="file for all rows that are done")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=("true", "tiny"), default="true")
    parser.add_argument("--kernels", choices=("torch", "triton"), default="torch")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device here; --device cpu --size tiny tries the script.")
    if options.size == "tiny":
        torch.set_num_threads(1)  # products so small gain nothing from more
    left = 0
    with tempfile.TemporaryDirectory() as scratch:
        weights = options.state / "weights" if options.size == "true" else Path(scratch)
        scale = TRUE if options.size == "true" else TINY
        bench = Bench(options.device, scale, weights, options.kernels)
        machine = Machine.of(bench.device)
        kind = options.size if options.kernels == "torch" else f"{options.size}, triton"
        ledger = Ledger(options.state, kind, machine)
        print(machine)
        with _engine_log(options.state / "engine.log"):
            for name in PARTS if options.part == "all" else [options.part]:
                left += run_part(name, bench, ledger)
                if rows := list(ledger.rows(name).values()):
                    print_table(PARTS[name].columns, rows)
                if options.json is not None:
                    entries = [asdict(entry) for entry in ledger.entries()]
                    options.json.write_text(json.dumps(entries, indent=1) + "\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
