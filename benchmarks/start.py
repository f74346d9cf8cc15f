"""The start of the voxcpm engine on a CPU: with an empty cache folder, later, and upstream's.

    python benchmarks/start.py [--model 1.5|0.5B|2] [--dtype int8] [--repeats N] [--help]

Random weights of the true size.  Each start is a process of its own; all but the first find what
the first has kept.  Later starts and those of the ``voxcpm`` package, in bfloat16, alternate;
medians.

- imports: seconds to import PyTorch and to load the plugins.
- engine: seconds from there until the engine has spoken a word, or the package a sentence.
- ratio: how many times as long as a later start the engine takes.

Needs the extra ``upstream`` and ``pip install --no-deps voxcpm``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.engine import checkpoint_options, prepared
from benchmarks.lib.report import Row, print_table, write_json

ROOT = Path(__file__).parent.parent
CHILD = """
import json, time
begun = time.perf_counter()
import torch
from voxcpm_openai.registry import load_registry
from voxcpm_openai.settings import load_settings
settings = load_settings()
spec = load_registry(settings).engines[settings.engine]
imported = time.perf_counter()
engine = spec.start(settings)
ready = time.perf_counter()
print(json.dumps({"imports": imported - begun, "engine": ready - imported}))
engine.stop()
"""


def start(engine: str, folder: Path, dtype: str, cache: Path, threads: int) -> dict[str, float]:
    """Start an engine in a process of its own; return its seconds."""
    variables = {
        "VOXCPM_ENGINE": engine,
        "VOXCPM_MODEL": str(folder),
        "VOXCPM_DTYPE": dtype,
        "VOXCPM_DEVICE": "cpu",
        "VOXCPM_THREADS": str(threads),
        "XDG_CACHE_HOME": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={**os.environ, **variables},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def measure(folder: Path, dtype: str, repeats: int, threads: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch)
        first = start("voxcpm", folder, dtype, cache, threads)
        later, upstream = [], []
        for _ in range(repeats):
            later.append(start("voxcpm", folder, dtype, cache, threads))
            upstream.append(start("upstream", folder, "bfloat16", cache, threads))
    sides = {f"{dtype}, first": [first], f"{dtype}, later": later, "upstream, bfloat16": upstream}
    usual = median(one["engine"] for one in later)
    return [
        {
            "start": side,
            "imports": median(one["imports"] for one in runs),
            "engine": median(one["engine"] for one in runs),
            "ratio": median(one["engine"] for one in runs) / usual,
        }
        for side, runs in sides.items()
    ]


def main() -> None:
    parser = checkpoint_options(__doc__)
    parser.set_defaults(dtype="int8")
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    with prepared(chosen) as folder:
        threads = 1 if chosen.size == "tiny" else chosen.threads
        rows = measure(folder, chosen.dtype, chosen.repeats, threads)
    print_table(rows)
    write_json(chosen.json, rows)


if __name__ == "__main__":
    main()
