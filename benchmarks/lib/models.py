"""Models to measure: rows stepped together, fixed lengths, the ``voxcpm`` package, timers."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from voxcpm_openai import Samples, Segment, Utterance, Voice
from voxcpm_openai.runtime.device.runner import ModelRunner, TextPlan
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.job import Job, LengthEstimate
from voxcpm_openai.runtime.engine.runner_protocol import Step
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.checkpoints import TEXT

STEPS, CFG = 10, 2.0  # solver steps and guidance where nothing else is asked for
WARM_PATCHES = 4
"""The package decodes the last three patches at each step: from the third on all cost the same."""
VOICE = Voice("random", "Random")


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds until all streams have their first patch, and from one patch to the next."""

    first: float
    patch: float

    @classmethod
    def of(cls, begun: float, marks: Sequence[float], warm: int) -> Run:
        """Sum up when patches came; the first ``warm`` do not count for ``patch``."""
        return cls(marks[0] - begun, median(b - a for a, b in pairwise(marks[warm:])))


class Batch:
    """Rows of a model that start together; the stop flags are ignored."""

    def __init__(self, model: VoxCPM, **sizes: Any) -> None:
        self.runner = ModelRunner(model, VoiceCache(model, "random"), **sizes)

    def run(self, rows: int, patches: int, warm: int = 2, steps: int = STEPS) -> Run:
        runner, slots = self.runner, range(rows)
        begun = time.perf_counter()
        segment = Segment(TEXT)
        utterance = Utterance((segment,), VOICE)
        for slot in slots:
            prepared = runner.prepare_segment(utterance, segment)
            length = LengthEstimate.of(TEXT, runner.patch_seconds, prepared.room)
            rate = runner.sample_rate
            job = Job(0, segment, prepared, length, rate, root_seed=slot, cfg=CFG, steps=steps)
            runner.admit(slot, job)
        marks = []
        for _ in range(patches):
            runner.launch(slots).samples()
            marks.append(time.perf_counter())
        for slot in slots:
            runner.release(slot)
        return Run.of(begun, marks, warm)


class Package:
    def __init__(self, folder: Path, device: str, dtype: str) -> None:
        from voxcpm_openai.runtime.loading import upstream  # late: it may not be installed

        self.dtype = dtype
        with redirect_stderr(io.StringIO()):  # it reports its progress there
            self.model: Any = upstream.load(folder, device, dtype, torch.get_num_threads())

    def run(self, patches: int, warm: int = 2, steps: int = STEPS) -> Run:
        with redirect_stderr(io.StringIO()):
            begun = time.perf_counter()
            chunks = self.model.generate_streaming(
                TEXT, min_len=patches, max_len=patches, inference_timesteps=steps, cfg_value=CFG
            )
            marks = [time.perf_counter() for _ in chunks]
        return Run.of(begun, marks, warm)


class FixedLengthStep:
    """A step with other stop flags; ``on_samples`` is called when its samples are there."""

    def __init__(
        self, step: Step, stop_flags: Sequence[bool], on_samples: Callable[[], None]
    ) -> None:
        self.slots = step.slots
        self._step = step
        self._stop_flags = stop_flags
        self._on_samples = on_samples

    @property
    def done(self) -> bool:
        return self._step.done

    def stop_flags(self) -> Sequence[bool]:
        self._step.stop_flags()
        return self._stop_flags

    def samples(self) -> Sequence[Samples]:
        samples = self._step.samples()
        self._on_samples()
        return samples


class FixedLengthRunner(ModelRunner):
    """Ends every job after a number of patches, whatever the stop head says, and times its steps.

    ``length_of``: the patches of a text.  ``begun``, ``ended``: moments of the steps, and ``made``
    their patches.
    """

    def __init__(self, model: VoxCPM, length_of: Callable[[str], int], **sizes: Any) -> None:
        super().__init__(model, VoiceCache(model, "random"), **sizes)
        self._length_of = length_of
        self._left: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.made = 0

    def admit(self, slot: int, job: Job) -> bool:
        assert isinstance(job.prepared, TextPlan)
        self._left[slot] = self._length_of(job.prepared.text)
        return super().admit(slot, job)

    def launch(self, slots: Sequence[int]) -> Step:
        self.begun.append(time.perf_counter())
        step = super().launch(slots)
        self.made += len(step.slots)
        for slot in step.slots:
            self._left[slot] -= 1
        flags = [self._left[slot] <= 0 for slot in step.slots]
        return FixedLengthStep(step, flags, lambda: self.ended.append(time.perf_counter()))


@contextmanager
def running(runner: ModelRunner) -> Iterator[BatchedEngine]:
    engine = BatchedEngine(runner, rows_per_step=runner.slots, max_waiting=512, max_wait=30.0)
    try:
        yield engine
    finally:
        engine.stop()


def utterance(seed: int) -> Utterance:
    options = {"cfg_value": CFG, "inference_steps": STEPS}
    return Utterance((Segment(TEXT),), VOICE, options, seed=seed)


def warm_up(engine: BatchedEngine, streams: int) -> None:
    for stream in [engine.synthesize(utterance(seed)) for seed in range(streams)]:
        for _ in stream:
            pass


def warm_graphs(runner: ModelRunner, streams: int) -> None:
    """Speak streams once, with an engine of their own; then capture the graphs that they lacked."""
    with running(runner) as engine:
        warm_up(engine, streams)
    capture_wanted(runner)


def capture_wanted(runner: ModelRunner) -> None:
    """Capture the graphs that steps lacked; no engine may run."""
    while runner.work_idle():
        pass


class Mark:
    """A moment on a device: on a GPU when it gets there, on a CPU when the mark was made."""

    def __init__(self, device: torch.device) -> None:
        self._event = torch.Event(device, enable_timing=True) if device.type == "cuda" else None
        if self._event is not None:
            self._event.record()
        self._seconds = time.perf_counter()

    def until(self, later: Mark) -> float:
        """Return the milliseconds up to a later mark; the device must have passed both."""
        if self._event is None or later._event is None:
            return (later._seconds - self._seconds) * 1e3
        return self._event.elapsed_time(later._event)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def stepper(model: VoxCPM, rows: int, length: int, steps: int = STEPS) -> Callable[[], Tensor]:
    """Return a function that steps rows, copies nothing back and returns their latents."""
    slots = model.new_slots(rows, length)
    ids, every = model.tokens(TEXT), list(range(rows))
    for slot in every:
        model.prefill(slots, slot, ids)
    frames, channels = model.latent_shape
    seeded = torch.Generator().manual_seed(1)
    noise = torch.randn(rows, channels, frames, generator=seeded).to(model.device)  # [B, C, P]
    cfg = torch.full((rows,), CFG).to(model.device)  # [B]

    def step() -> Tensor:
        latents, _ = model.step(slots, every, noise, [steps] * rows, cfg)  # [B, P, C]
        model.decode(slots, every, latents)
        return latents  # [B, P, C]

    return step


def split(model: VoxCPM, step: Callable[[], object], repeats: int) -> dict[str, float]:
    places: list[tuple[object, str, str]] = [
        (model.base, "step", "base_ms"),
        (model.residual, "step", "residual_ms"),
        (model, "local_encoder", "encoder_ms"),
        (model, "flow", "dit_ms"),
        (model, "decoder", "vae_ms"),
    ]
    spans: dict[str, list[tuple[Mark, Mark]]] = {name: [] for _, _, name in places}
    whole: list[tuple[Mark, Mark]] = []
    with ExitStack() as stack:
        for owner, attribute, name in places:
            part = _marked(model.device, getattr(owner, attribute), spans[name])
            stack.enter_context(patch.object(owner, attribute, part))
        for _ in range(repeats):
            _marked(model.device, step, whole)()
    synchronize(model.device)
    spans["rest_ms"] = whole
    parts = {
        name: median(begun.until(ended) for begun, ended in marks) for name, marks in spans.items()
    }
    return {**parts, "rest_ms": 2 * parts["rest_ms"] - sum(parts.values())}


def _marked(
    device: torch.device, part: Callable[..., Any], spans: list[tuple[Mark, Mark]]
) -> Callable[..., Any]:
    def call(*args: object) -> object:
        begun = Mark(device)
        result = part(*args)
        spans.append((begun, Mark(device)))
        return result

    return call
