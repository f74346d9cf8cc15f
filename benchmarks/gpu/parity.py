"""The model on the device against itself on the CPU in float32, and rows among others.

The CPU's float32 equals upstream's package in the tests.  The checkpoints are tiny at any size:
this part looks for a wrong kernel, not a slow one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu.bench import Bench, Task
from benchmarks.gpu.engine import CAPTURE_SECONDS
from benchmarks.lib.models import FixedLengthRunner, running, utterance
from benchmarks.lib.report import Row
from voxcpm_openai.runtime.device.capture import Capture, enforce_eager
from voxcpm_openai.runtime.device.cuda_graphs import GraphRunner
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints
from voxcpm_openai.testing.streams import Output, Stream, alone, clip, run

TOLERANCE = 1e-4  # the greatest difference that latents in float32 may have
TEXT = "the hello 你好世界 12"
PATCHES = 6
CLIENTS = 5
MODES = ("zero-shot", "prompt")
SECOND_MODES = (*MODES, "reference", "reference and prompt")  # the inputs of VoxCPM2

Pair = tuple[Output, Output]  # what was made, and what was expected


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield all kinds and inputs in both dtypes; a row alone and among others; graphs; engines."""
    for dtype in ("float32", "bfloat16"):
        for kind in tiny_checkpoints.KINDS:
            comparisons: dict[str, Any] = {
                mode: partial(against_cpu, mode=mode)
                for mode in (SECOND_MODES if kind == "voxcpm2" else MODES)
            }
            comparisons |= {"among others": among_others, "graphs": graphs, "engine": engines}
            for mode, compare in comparisons.items():
                found = partial(measure, bench, kind, mode, dtype, compare)
                yield Task(f"{kind}, {mode}, {dtype}", found, early=True)


def measure(bench: Bench, kind: str, mode: str, dtype: str, compare: Any) -> Row:
    """Return the greatest differences over a few patches, and of the first one alone.

    ``relative``: the length of the latents' difference by their own length.  ``encoded``: of the
    encoded clips, if there are some.  ``within_tolerance``: of float32 alone.
    """
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        for backend in backends:
            # float32 is not to be rounded to TF32, which would count as a difference.
            stack.callback(setattr, backend, "allow_tf32", backend.allow_tf32)
            backend.allow_tf32 = False
        folder = tiny_checkpoints.make(Path(scratch) / kind, kind)
        model = bench.load(folder, dtype)
        pairs, encoded = compare(bench, folder, model)
    latents = max(_furthest(made.latents, expected.latents) for made, expected in pairs)
    return {
        **{"kind": kind, "mode": mode, "dtype": dtype, "patches": PATCHES},
        "latents": latents,
        "relative": max(_relative(made.latents, expected.latents) for made, expected in pairs),
        "first": max(_furthest(made.latents[0], expected.latents[0]) for made, expected in pairs),
        "samples": max(_furthest(made.samples, expected.samples) for made, expected in pairs),
        "encoded": encoded,
        "within_tolerance": latents <= TOLERANCE if dtype == "float32" else None,
    }


def against_cpu(_: Bench, folder: Path, ours: VoxCPM, mode: str) -> tuple[list[Pair], float | None]:
    """Run the device and the CPU, with the same noise and the clips as the CPU encodes them."""
    theirs = load_model(folder, "cpu", "float32")
    prompt, reference = _clips(theirs, mode)
    pairs = zip(_clips(ours, mode), (prompt, reference), strict=True)
    encoded = [_furthest(a, b) for a, b in pairs if a is not None and b is not None]
    stream = Stream(TEXT, PATCHES, prompt=prompt, reference=reference)
    return [(alone(ours, stream), alone(theirs, stream))], max(encoded, default=None)


def among_others(_: Bench, __: Path, model: VoxCPM) -> tuple[list[Pair], None]:
    streams = _streams(model)
    together = run(model, model.new_slots(len(streams), 200), streams)
    return [(together[slot], alone(model, stream)) for slot, stream in streams.items()], None


def graphs(bench: Bench, _: Path, model: VoxCPM) -> tuple[list[Pair], None]:
    """Replay graphs of three rows filled up to four, and run the same operators eagerly."""
    replayed = _stepped(model, bench.capture() or enforce_eager)
    return [(replayed, _stepped(model, enforce_eager))], None


def engines(bench: Bench, _: Path, model: VoxCPM) -> tuple[list[Pair], None]:
    """Run the engine with many streams at once, steps launched ahead, and with one at a time.

    Their samples are compared in the place of the latents.
    """
    capture = bench.capture() or enforce_eager
    runner = FixedLengthRunner(model, lambda _: PATCHES, slots=CLIENTS, length=200, capture=capture)
    runner.capture(CAPTURE_SECONDS)
    with running(runner) as engine:
        single = [made for seed in range(CLIENTS) for made in _synthesize(engine, [seed])]
        together = _synthesize(engine, range(CLIENTS))
    return list(zip(together, single, strict=True)), None


def _synthesize(engine: BatchedEngine, seeds: Sequence[int]) -> list[Output]:
    streams = [engine.synthesize(utterance(seed)) for seed in seeds]
    sounds = [np.concatenate([chunk.samples for chunk in stream]) for stream in streams]
    samples = [torch.from_numpy(sound) for sound in sounds]  # [N] each
    return [Output(sound[None], [], sound) for sound in samples]


def _stepped(model: VoxCPM, capture: Capture) -> Output:
    streams = dict(list(_streams(model).items())[:3])
    slots = model.new_slots(5, 200)  # one more row than three, and the padding slot
    runner = GraphRunner(model, slots, capture)
    _run(runner, model, slots, streams)
    while runner.capture_wanted():
        pass
    return _run(runner, model, slots, streams)


def _run(runner: GraphRunner, model: VoxCPM, slots: Slots, streams: Mapping[int, Stream]) -> Output:
    for slot, stream in streams.items():
        parts = stream.begin(model, slots, slot)
        runner.begin(slot, parts, seed=stream.seed, cfg=stream.cfg, steps=stream.steps)
    latents, samples = [], []
    for _ in range(PATCHES):
        step = runner.launch(list(streams))
        latents.append(runner.latents[: len(streams)].clone())  # [B, P, C]
        step.stop_flags()
        samples.append(torch.tensor(np.array(step.samples())))  # [B, N]
    return Output(torch.stack(latents), [], torch.stack(samples))


def _streams(model: VoxCPM) -> dict[int, Stream]:
    prompt, _ = _clips(model, "prompt")
    first = Stream(TEXT, PATCHES)
    return {
        0: first,
        1: replace(first, text="x", steps=5, cfg=1.0, seed=2, patches=PATCHES - 2),
        2: replace(first, text="a longer text, on and on", seed=3, prompt=prompt),
        3: replace(first, text="语音合成", steps=7, cfg=3.0, seed=4),
    }


def _clips(model: VoxCPM, mode: str) -> tuple[Tensor | None, Tensor | None]:
    first, second = clip(0.71, model.encoder_rate, 1), clip(0.53, model.encoder_rate, 2)
    prompt = model.encode(first) if "prompt" in mode else None
    return prompt, model.encode(second, reference=True) if "reference" in mode else None


def _furthest(made: Tensor, expected: Tensor) -> float:
    """Return the greatest difference; NaN where either has one."""
    return float((made.float().cpu() - expected.float().cpu()).abs().max())


def _relative(made: Tensor, expected: Tensor) -> float:
    wanted = expected.float().cpu()
    return float((made.float().cpu() - wanted).norm() / wanted.norm())
