"""The runtime against the ``voxcpm`` package, on random weights of the true size, on a CPU.

    python benchmarks/engine.py [--model 1.5|0.5B|2] [--streams 1,2,4,8] [--beside N]
                                [--ggml BINARY GGUF] [--help]

Both run in turn, with the same text, number of patches, steps and guidance; medians.  Ours steps
all streams together.  The package makes one request at a time, so N streams take it N times as
long; it runs in float32 or bfloat16, whichever is faster here.

- patch: seconds until every stream has its next patch, decoding included; worst: the lowest ratio.
- audio: seconds of audio per second, all streams together.
- first: seconds from the text to the samples of the first patch, one stream.
- base_ms and so on: milliseconds of our step by part of the model.
- error: distance of the first patch's latents from float32's, relative to their length.
- torch: patch on PyTorch's operators instead of those in C++, and gain: how many times as long that
  takes.  Absent with ``--kernels torch``, or where there are none in C++.
- beside: with ``--beside N``, the same beside N processes that use all they get of the cores, and
  loss: how many times as long ours takes then.
- ggml: with ``--ggml BINARY GGUF``, the weights of VoxCPM.cpp, and ggml_patch: its seconds, each
  repeat in a process of its own; N streams take it N times as long, too.  ggml_patch_ratio, _worst:
  to ours.
  ggml_beside and so on: beside the busy processes, to ours beside them.
- gib: memory of each side, and the peak of the process.

Needs the extra ``upstream`` and ``pip install --no-deps voxcpm``.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.busy import busy_processes
from benchmarks.lib.cpu_model import cpu_model
from benchmarks.lib.ggml import Ggml, GgmlError
from benchmarks.lib.models import WARM_PATCHES, Batch, Package, Run, split, stepper
from benchmarks.lib.report import Row, counts, options, print_table, versus, write_json
from voxcpm_openai.runtime.device.loader import DTYPES, load_model
from voxcpm_openai.runtime.engine.thread_count import ThreadCount
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.testing import checkpoints, tiny_checkpoints
from voxcpm_openai.testing.checkpoints import TOKENS

TOGETHER_BYTES = 20e9


def load_faster(folder: Path, steps: int) -> tuple[Package, float]:
    """Load the package in the dtype in which it is faster; return its memory in GiB, too."""
    seconds = {}
    for dtype in ("bfloat16", "float32"):  # one at a time in memory
        seconds[dtype] = Package(folder, "cpu", dtype).run(8, steps=steps).patch
        print(f"upstream in {dtype}: {seconds[dtype]:.3f} s/patch", flush=True)
    before = _resident_gib()
    package = Package(folder, "cpu", min(seconds, key=seconds.__getitem__))
    package.run(WARM_PATCHES, steps=2)
    return package, _resident_gib() - before


def error_of(folder: Path, dtype: str, steps: int) -> float:
    """Return the distance of a dtype from float32; 0.01 is one per cent."""
    if dtype == "float32":
        return 0.0
    exact, near = (
        stepper(load_model(folder, "cpu", name), 1, TOKENS + 2, steps)()
        for name in ("float32", dtype)
    )  # [1, P, C] each
    return float((near - exact).norm() / exact.norm())


def _resident_gib() -> float:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def measure(
    folder: Path,
    streams: Sequence[int],
    *,
    steps: int,
    patches: int,
    repeats: int,
    dtype: str,
    beside: int,
    kernels: str,
    ggml: Ggml | None = None,
) -> list[Row]:
    if ggml:
        ggml.warm_up()  # first: it fails at once, if at all
    error = error_of(folder, dtype, steps)
    upstream, upstream_gib = load_faster(folder, steps)
    whole = (folder / "model.safetensors").stat().st_size  # in float32
    sizes = (DTYPES[name].itemsize / 4 * whole for name in (dtype, upstream.dtype))
    in_turn, upstream_dtype = sum(sizes) > TOGETHER_BYTES, upstream.dtype
    theirs: list[Run] = []
    if in_turn:
        print("Both together need more than 20 GB: each runs all its repeats by itself.")
        theirs = [upstream.run(patches, steps=steps) for _ in range(repeats)]
        del upstream
    before, most, length = _resident_gib(), max(streams), TOKENS + 2 + max(patches, 8)
    model, ops = cpu_model(folder, dtype, kernels)
    # Without a clip, half of a slot is left to a text that goes on.
    threads = ThreadCount(torch.get_num_threads(), torch.set_num_threads)
    ours = Batch(model, slots=most, length=2 * length, threads=threads)
    ours.run(most, WARM_PATCHES, steps=2)
    ours_gib = _resident_gib() - before
    made: dict[int, list[Run]] = {count: [] for count in (1, *streams)}
    shared: dict[int, list[float]] = {count: [] for count in streams}
    torchs: dict[int, list[float]] = {count: [] for count in streams}
    ggmls: list[float] = []
    ggmls_beside: list[float] = []
    for _ in range(repeats):
        if not in_turn:
            theirs.append(upstream.run(patches, steps=steps))
        for count, runs in made.items():
            runs.append(ours.run(count, patches, steps=steps))
        if ggml:
            ggmls.append(ggml.run(patches, steps=steps))
        if not isinstance(ops, TorchOps):
            model.use(TorchOps())
            for count, seconds in torchs.items():
                seconds.append(ours.run(count, patches, steps=steps).patch)
            model.use(ops)
        with busy_processes(beside):
            for count, seconds in shared.items() if beside else ():
                seconds.append(ours.run(count, patches, steps=steps).patch)
            if ggml and beside:
                ggmls_beside.append(ggml.run(patches, steps=steps))
    mine, their = ([run.first for run in runs] for runs in (made[1], theirs))
    first = versus(mine, their, "upstream", "first")
    patch_seconds = ours.runner.patch_seconds
    rows = []
    for count in streams:
        patch = [run.patch for run in made[count]]
        row = versus(patch, [count * run.patch for run in theirs], "upstream", "patch")
        audio = count * patch_seconds
        row |= {"streams": count, "steps": steps, "dtype": dtype, "upstream_dtype": upstream_dtype}
        row |= {
            "ours_audio": audio / row["ours_patch"],
            "upstream_audio": audio / row["upstream_patch"],
            "error": error,
            "ours_gib": ours_gib,
            "upstream_gib": upstream_gib,
            "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            **first,
            **_against("torch", "gain", torchs[count], row["ours_patch"]),
            **_against("beside", "loss", shared[count], row["ours_patch"]),
            **({"ggml": ggml.weights.stem} if ggml else {}),
            **_peer("ggml_patch", patch, [count * one for one in ggmls]),
            **_peer("ggml_beside", shared[count], [count * one for one in ggmls_beside]),
            **split(model, stepper(model, count, length, steps), 6),
        }
        rows.append(row)
    return rows


def _against(name: str, ratio: str, seconds: Sequence[float], ours: float) -> Row:
    """Return the median of other seconds of a patch, if there are any, and their ratio to ours."""
    return {name: median(seconds), ratio: median(seconds) / ours} if seconds else {}


def _peer(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Row:
    """Return a peer's median, and its median and lowest ratio to ours, if it was measured."""
    if not theirs:
        return {}
    worst = min(b / a for a, b in zip(ours, theirs, strict=True))
    ratio = median(theirs) / median(ours)
    return {name: median(theirs), f"{name}_ratio": ratio, f"{name}_worst": worst}


def checkpoint_options(description: str | None) -> ArgumentParser:
    parser = options(description)
    parser.add_argument("--model", choices=checkpoints.KINDS, default="1.5")
    parser.add_argument("--size", choices=("true", "tiny"), default="true", help="tiny: a trial")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--folder", type=Path, help="folder for the weights, to keep them")
    return parser


def model_options(description: str | None) -> ArgumentParser:
    parser = checkpoint_options(description)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--kernels", choices=("auto", "torch"), default="auto")
    return parser


@contextmanager
def prepared(chosen: Namespace) -> Iterator[Path]:
    """Set the threads, and yield the checkpoint, which is made unless it is there."""
    torch.set_num_threads(1 if chosen.size == "tiny" else chosen.threads)
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.size == "tiny":
            yield tiny_checkpoints.make(Path(scratch) / "tiny", checkpoints.KINDS[chosen.model])
        else:
            yield checkpoints.make(chosen.folder or Path(scratch), chosen.model)


def main() -> None:
    parser = model_options(__doc__)
    parser.add_argument("--streams", type=counts, default=(1, 2, 4, 8))
    parser.add_argument("--patches", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--beside", type=int, default=0, help="busy processes beside it")
    parser.add_argument("--ggml", type=Path, nargs=2, metavar=("BINARY", "GGUF"), help="VoxCPM.cpp")
    chosen = parser.parse_args()
    with prepared(chosen) as folder:
        patches = max(chosen.patches, WARM_PATCHES)
        how = {"steps": chosen.steps, "repeats": chosen.repeats, "dtype": chosen.dtype}
        how |= {"beside": chosen.beside, "kernels": chosen.kernels}
        ggml = None
        if chosen.ggml:
            binary, weights = chosen.ggml
            ggml = Ggml(binary, weights, torch.get_num_threads())
        try:
            rows = measure(folder, chosen.streams, patches=patches, ggml=ggml, **how)
        except GgmlError as error:
            sys.exit(str(error))
    rows = [{"model": chosen.model, "size": chosen.size, **row} for row in rows]
    print_table(rows)
    write_json(chosen.json, rows)


if __name__ == "__main__":
    main()
