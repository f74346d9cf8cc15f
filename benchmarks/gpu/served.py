"""The server as it runs in production, one worker, CUDA graphs on, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import product

from benchmarks.gpu.bench import Bench, Task
from benchmarks.gpu.engine import arrival_times
from benchmarks.lib.report import Row, load_figures
from benchmarks.lib.server import own_server
from voxcpm_openai.load_test import LoadPlan, run
from voxcpm_openai.testing.checkpoints import TEXT

NEEDED = (
    "flask", "flask_cors", "gunicorn", "marshmallow", "pluggy", "click", "av", "soundfile", "soxr"
)  # fmt: skip
WAYS = (("burst", "pcm"), ("burst", "wav"), ("poisson", "pcm"))
"""How requests arrive, and their format."""
MAX_STREAMS = 256
START_SECONDS = 240.0
FIRST_TARGETS_MS = {("2", 1): 30.0}  # the first bytes to reach on an H100, by model and streams


class Served:
    def __init__(self, bench: Bench, model: str) -> None:
        """Raise RuntimeError where it does not start; its messages go where ours go."""
        folder = bench.folder(model).resolve()
        variables = {
            "VOXCPM_ENGINE": "voxcpm",
            "VOXCPM_MODEL": str(folder),
            "VOXCPM_DEVICE": bench.device.type,
            "VOXCPM_DTYPE": bench.dtype,
            "VOXCPM_CUDA_GRAPHS": "on" if bench.on_gpu else "off",
            "VOXCPM_KERNELS": bench.kernels,
            "VOXCPM_MAX_STREAMS": str(MAX_STREAMS),
            "VOXCPM_WORKERS": "1",
            "XDG_CACHE_HOME": str(folder.parent / "cache"),
            "XDG_DATA_HOME": str(folder.parent / "data"),
        }
        begun, stack = time.perf_counter(), ExitStack()
        self.url = stack.enter_context(own_server(variables, START_SECONDS))
        self.close = stack.close
        print(f"the server was ready in {time.perf_counter() - begun:.0f} s", flush=True)


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield all of a model before the next model; bursts of one and of the most are early."""
    ends = bench.scale.first[0], bench.scale.first[-1]
    counts = sorted({*bench.scale.first, max(bench.scale.listeners)})
    for model, streams, way in product(bench.scale.models, counts, WAYS):
        arrivals, name = way
        if (arrivals == "poisson" and streams == 1) or (name == "wav" and streams not in ends):
            continue
        found = partial(measure, bench, model, streams, arrivals, name)
        early = way == WAYS[0] and streams in ends
        yield Task(f"{model}, {streams} streams, {arrivals}, {name}", found, early)


def measure(bench: Bench, model: str, streams: int, arrivals: str, audio_format: str) -> Row:
    url = bench.resource(f"http {model}", partial(Served, bench, model)).url
    voice, preset = "alloy", "voxcpm"  # a voice with a clip, and the preset of ten steps
    burst = LoadPlan(
        url, streams, 1, (TEXT,), voice, preset, audio_format, arrivals=(0.0,) * streams
    )
    seconds = run(burst).warm_up.audio
    times = arrival_times(arrivals, streams, seconds, bench.scale.span)
    rounds = bench.scale.repeats * (4 if streams == 1 else 1) if arrivals == "burst" else 1
    return {
        **bench.row(model),
        "format": audio_format,
        "arrivals": arrivals,
        **load_figures(run(replace(burst, arrivals=times, rounds=rounds))),
        "target_ms": FIRST_TARGETS_MS.get((model, streams)) if bench.true else None,
    }
