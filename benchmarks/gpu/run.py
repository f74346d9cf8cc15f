"""The runtime on a GPU: correctness, speed, and the number of listeners.

    python benchmarks/gpu/run.py --part all --state DIR [--weights DIR] [--json FILE] [--help]

Needs torch (2.5 or newer), numpy, safetensors and tokenizers; the parts nano, http and upstream
need what is in requirements.txt, and are left out without it.  docs/gpu.md describes the parts.

``all`` takes the early rows of each part, and then the rest; ``--list`` prints them in this order.
No row is begun after ``--seconds``.  Rows that are done are kept in ``DIR/rows.jsonl``, and the
same command continues after them.  Use a new folder for other code.

``--kernels triton`` uses the Triton kernels in the models; its rows are kept apart.
``--device cpu --size tiny`` tries the script in a few minutes: its figures mean nothing.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import torch

if not __package__:
    sys.path[0] = str(Path(__file__).parents[2])

from benchmarks.gpu import engine, kernels, memory, nano, parity, paths, served, step
from benchmarks.gpu.bench import SCALES, Bench, Task, missing
from benchmarks.lib.report import ResultsFile, options, print_table, write_json
from voxcpm_openai.errors import VoxcpmError

UPSTREAM = ("voxcpm", "transformers", "einops", "pydantic", "huggingface_hub", "tqdm")
PARTS: dict[str, tuple[Callable[[Bench], Iterator[Task]], Sequence[str]]] = {
    "nano": (nano.tasks, nano.NEEDED),
    "http": (served.tasks, served.NEEDED),
    "paths": (paths.tasks, ()),
    "parity": (parity.tasks, ()),
    "step": (step.tasks, ()),
    "kernels": (kernels.tasks, ()),
    "upstream": (step.upstream_tasks, UPSTREAM),
    "engine": (engine.tasks, ()),
    "memory": (memory.tasks, ()),
    "launches": (step.launch_tasks, ()),
}
"""Their rows, and the packages that they need."""


def in_order(names: Sequence[str], bench: Bench, wanted: str) -> list[tuple[str, list[Task]]]:
    """Return the early tasks of each part, then the others, of those with such a label."""
    parts = []
    for early, name in product((True, False), names):
        tasks = [task for task in PARTS[name][0](bench) if wanted in task.label]
        parts.append((name, [task for task in tasks if task.early == early]))
    return parts


def run_parts(
    parts: Sequence[tuple[str, list[Task]]], bench: Bench, results: ResultsFile, seconds: float
) -> int:
    until, left = time.monotonic() + seconds, 0
    for name, tasks in parts:
        done = results.rows(name)
        for task in tasks:
            if task.label not in done:
                late = time.monotonic() > until
                left += late or not measure(name, task, bench, results)
        bench.close()
        if len(rows := results.rows(name)) > len(done):
            print_table(list(rows.values()))
    if left:
        print(f"{left} rows are left; the same command continues with them.")
    return left


def measure(part: str, task: Task, bench: Bench, results: ResultsFile) -> bool:
    """Measure and keep a row; return whether that did not fail."""
    print(f"{part}: {task.label}", flush=True)
    try:
        row = task.measure()
    except (RuntimeError, ImportError, VoxcpmError) as error:  # of the device, or the engine
        print(f"{part}: {task.label} failed: {type(error).__name__}: {error}", flush=True)
        bench.close(failed=True)
        return False
    results.add(part, task.label, row)
    return True


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--part", choices=[*PARTS, "all"], required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of the rows")
    parser.add_argument("--weights", type=Path, help="folder of the weights; else the state's")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=SCALES, default="true")
    parser.add_argument("--kernels", choices=("torch", "triton"), default="torch")
    parser.add_argument("--seconds", type=float, default=400.0, help="no row is begun after them")
    parser.add_argument("--rows", default="", help="only those with this in their labels")
    parser.add_argument("--list", action="store_true", help="print the rows in their order")
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not (torch.cuda.is_available() or chosen.list):
        parser.error("torch sees no CUDA device here; --device cpu --size tiny tries the script.")
    if chosen.size == "tiny":
        torch.set_num_threads(1)  # products so small gain nothing from more
        os.environ["OMP_NUM_THREADS"] = "1"  # in the server, too
    names = [*PARTS] if chosen.part == "all" else [chosen.part]
    with tempfile.TemporaryDirectory() as scratch:
        kept = chosen.weights or chosen.state / "weights"
        weights = kept if chosen.size == "true" else Path(scratch)
        bench = Bench(chosen.device, SCALES[chosen.size], weights, chosen.kernels)
        if chosen.list:
            for name, tasks in in_order(names, bench, chosen.rows):
                print("".join(f"{name}: {task.label}\n" for task in tasks), end="")
            return 0
        for name in names:
            if absent := missing(PARTS[name][1]):
                print(f"{name} is left out for want of {', '.join(absent)}.")
                names = [other for other in names if other != name]
        print(*(machine := bench.machine()).values())
        kind = chosen.size if chosen.kernels == "torch" else f"{chosen.size}, triton"
        results = ResultsFile(chosen.state, kind, machine)
        # The part ``memory`` makes the engine fail on purpose.
        logging.basicConfig(filename=chosen.state / "engine.log")
        try:
            left = run_parts(in_order(names, bench, chosen.rows), bench, results, chosen.seconds)
        finally:
            bench.close()
        write_json(chosen.json, results.entries())
    return 1 if left else 0


if __name__ == "__main__":
    # For ``timeout`` to end the processes of the resources, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
