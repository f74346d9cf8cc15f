"""Parity: the model on the device against itself on the CPU in float32, and rows among others.

The CPU's float32 is what the tests hold equal to upstream's package.  The checkpoints are the
tests' tiny ones at any size: what is looked for is a wrong kernel, not a slow one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.on_gpu.bench import Bench, Task
from benchmarks.on_gpu.listeners import ForcedRunner, start, utterance
from tests.runtime import tiny
from tests.runtime.clips import clip
from tests.runtime.streams import Heard, Stream, alone, run
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.graphs import Capture, Graphs, eagerly
from voxcpm_openai.runtime.job import Job
from voxcpm_openai.runtime.loader import load_model
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.stream import Stream as Spoken

BAR = 1e-4
"""The greatest difference that latents in float32 may have."""
TEXT = "the hello 你好世界 12"
PATCHES = 6
CROWD = 5
"""Listeners of the engine."""
MODES = ("zero-shot", "prompt")
SECOND_MODES = (*MODES, "reference", "reference and prompt")
"""What VoxCPM2 can be given."""

COLUMNS = {
    "kind": "kind",
    "mode": "mode",
    "dtype": "dtype",
    "latents": "latents differ by",
    "relative": "relative",
    "first": "first patch by",
    "samples": "samples by",
    "encoded": "clip by",
    "within_bar": "within 1e-4",
}


@dataclass(frozen=True, slots=True)
class Row:
    """The greatest differences over a few patches, and of the first one alone.

    ``relative``: the length of the latents' difference by their own length.  ``encoded``: of the
    encoded clips; None without one.  ``within_bar``: of float32 alone; None for others.
    """

    kind: str
    mode: str
    dtype: str
    patches: int
    latents: float
    relative: float
    first: float
    samples: float
    encoded: float | None
    within_bar: bool | None


def tasks(bench: Bench) -> Iterator[Task]:
    """All kinds, what each can be given, both dtypes; a row alone and among others; graphs."""
    for dtype in ("float32", "bfloat16"):
        for kind in tiny.KINDS:
            for mode in SECOND_MODES if kind == "voxcpm2" else MODES:
                found = partial(against_cpu, bench, kind, mode, dtype)
                yield Task(f"{kind}, {mode}, {dtype}", found, telling=True)
            for name, measure in (
                ("among others", among_others),
                ("graphs", graphs_and_twins),
                ("engine", engine_and_crowd),
            ):
                found = partial(measure, bench, kind, dtype)
                yield Task(f"{kind}, {name}, {dtype}", found, telling=True)


def against_cpu(bench: Bench, kind: str, mode: str, dtype: str) -> Row:
    """Speak on the device and on the CPU, with the same noise and the clips as the CPU has them."""
    with _exact(bench), tempfile.TemporaryDirectory() as scratch:
        folder = tiny.make(Path(scratch) / kind, kind)
        theirs = load_model(folder, "cpu", "float32")
        ours = bench.load(folder, dtype)
        prompt, reference = _clips(theirs, mode)
        pairs = zip(_clips(ours, mode), (prompt, reference), strict=True)
        encoded = [_furthest(a, b) for a, b in pairs if a is not None and b is not None]
        stream = Stream(TEXT, PATCHES, prompt=prompt, reference=reference)
        made = [(alone(ours, stream), alone(theirs, stream))]
    return _row(kind, mode, dtype, made, max(encoded, default=None))


def among_others(bench: Bench, kind: str, dtype: str) -> Row:
    """Speak several streams side by side on the device, and each by itself."""
    with _exact(bench), tempfile.TemporaryDirectory() as scratch:
        model = bench.load(tiny.make(Path(scratch) / kind, kind), dtype)
        streams = _streams(model)
        together = run(model, model.new_slots(len(streams), 200), streams)
        pairs = [(together[slot], alone(model, stream)) for slot, stream in streams.items()]
    return _row(kind, "among others", dtype, pairs, None)


def graphs_and_twins(bench: Bench, kind: str, dtype: str) -> Row:
    """Replay graphs of three rows filled up to four, and run their twins operator by operator."""
    with _exact(bench), tempfile.TemporaryDirectory() as scratch:
        model = bench.load(tiny.make(Path(scratch) / kind, kind), dtype)
        replayed, twin = (_stepped(model, how) for how in (bench.capture() or eagerly, eagerly))
    return _row(kind, "graphs", dtype, [(replayed, twin)], None)


def engine_and_crowd(bench: Bench, kind: str, dtype: str) -> Row:
    """Let the engine speak to many at once, steps launched ahead, and to one after the other."""
    with _exact(bench), tempfile.TemporaryDirectory() as scratch:
        model = bench.load(tiny.make(Path(scratch) / kind, kind), dtype)
        runner = Kept(
            model, slots=CROWD, length=200, patches=PATCHES, capture=bench.capture() or eagerly
        )
        engine = start(runner)
        try:
            alone = [heard for seed in range(CROWD) for heard in _hear(engine, runner, [seed])]
            together = _hear(engine, runner, range(CROWD))
        finally:
            engine.stop()
    return _row(kind, "engine", dtype, list(zip(together, alone, strict=True)), None)


class Kept(ForcedRunner):
    """Keeps the latents ``[T, P, C]`` of each slot's last job, by the job."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.latents: dict[Job, Tensor] = {}

    @property
    def busy(self) -> bool:
        """Whether a slot is taken."""
        return bool(self._seats)

    def release(self, slot: int) -> None:
        """Empty a slot."""
        if seat := self._seats.get(slot):
            self.latents[seat.job] = torch.stack(seat.patches)
        super().release(slot)


def _hear(engine: BatchedEngine, runner: Kept, seeds: Sequence[int]) -> list[Heard]:
    """Ask for as many utterances at once, each with its seed."""
    streams = [engine.speak(utterance(seed)) for seed in seeds]
    sounds = [np.concatenate([chunk.samples for chunk in stream]) for stream in streams]
    while runner.busy:  # all is heard a little sooner than the slots are empty
        time.sleep(0.001)
    return [
        Heard(runner.latents[cast(Spoken, stream).jobs[0]], [], torch.from_numpy(sound))
        for stream, sound in zip(streams, sounds, strict=True)
    ]


def _stepped(model: VoxCPM, capture: Capture) -> Heard:
    """Return what came of all rows together: ``latents [T, B, P, C]`` and the like."""
    streams = dict(list(_streams(model).items())[:3])
    slots = model.new_slots(5, 200)  # one more row than three, and the spare one
    graphs = Graphs(model, slots, capture)
    for slot, stream in streams.items():
        parts = stream.arrive(model, slots, slot)
        graphs.begin(slot, parts, seed=stream.seed, cfg=stream.cfg, steps=stream.steps)
    latents: list[Tensor] = []
    samples: list[Tensor] = []
    stops: list[bool] = []
    for _ in range(PATCHES):
        step = graphs.launch(list(streams))
        latents.append(graphs.latents[: len(streams)].clone())  # [B, P, C]
        stops += step.stops()
        samples.append(torch.tensor(np.array(step.samples())))  # [B, N]
    return Heard(torch.stack(latents), stops, torch.stack(samples))


def _streams(model: VoxCPM) -> dict[int, Stream]:
    """Streams that differ in everything."""
    prompt, _ = _clips(model, "prompt")
    first = Stream(TEXT, PATCHES)
    return {
        0: first,
        1: replace(first, text="x", steps=5, cfg=1.0, seed=2, patches=PATCHES - 2),
        2: replace(first, text="a longer text, on and on", seed=3, prompt=prompt),
        3: replace(first, text="语音合成", steps=7, cfg=3.0, seed=4),
    }


def _clips(model: VoxCPM, mode: str) -> tuple[Tensor | None, Tensor | None]:
    """Return the latents of the prompt and of the reference, ``[T, P, C]`` each."""
    prompt = reference = None
    if "prompt" in mode:
        prompt = model.encode(clip(0.71, model.encoder_rate, 1))  # [T, P, C]
    if "reference" in mode:
        reference = model.encode(clip(0.53, model.encoder_rate, 2), reference=True)  # [T, P, C]
    return prompt, reference


@contextmanager
def _exact(bench: Bench) -> Iterator[None]:
    """Keep float32 from being rounded to TF32, which would be seen as a difference."""
    if not bench.on_gpu:
        yield
        return
    products, filters = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, filters.allow_tf32
    products.allow_tf32 = filters.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, filters.allow_tf32 = before


def _row(
    kind: str,
    mode: str,
    dtype: str,
    pairs: Sequence[tuple[Heard, Heard]],
    encoded: float | None,
) -> Row:
    latents = max(_furthest(made.latents, expected.latents) for made, expected in pairs)
    return Row(
        kind=kind,
        mode=mode,
        dtype=dtype,
        patches=PATCHES,
        latents=latents,
        relative=max(_relative(made.latents, expected.latents) for made, expected in pairs),
        first=max(_furthest(made.latents[0], expected.latents[0]) for made, expected in pairs),
        samples=max(_furthest(made.samples, expected.samples) for made, expected in pairs),
        encoded=encoded,
        within_bar=latents <= BAR if dtype == "float32" else None,
    )


def _furthest(made: Tensor, expected: Tensor) -> float:
    """Return the greatest difference; NaN where either has one."""
    return float((made.float().cpu() - expected.float().cpu()).abs().max())


def _relative(made: Tensor, expected: Tensor) -> float:
    """Return the length of the difference by the length of what is expected."""
    wanted = expected.float().cpu()
    return float((made.float().cpu() - wanted).norm() / wanted.norm())
