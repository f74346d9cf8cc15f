"""Runs a loaded model on an execution path in slots of its own: is the speech right, how fast?

Two rows with texts of different lengths make a few patches, twice: the second time with other
seeds and in each other's slots, which shows what was frozen into a graph.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from voxcpm_openai.runtime.device.capture import Capture, Run, enforce_eager
from voxcpm_openai.runtime.device.cuda_graphs import GraphRunner
from voxcpm_openai.runtime.device.execution_path import ExecutionPath
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

ROWS = (1, 8)
"""The rows of the steps that are timed."""
LENGTH = 256
"""Positions of a slot."""
PATCHES = 3
"""Patches of each row that are compared."""
REPLAYS = 20
"""Steps that are timed."""
WARM = 3
"""Steps before them."""
STEPS, CFG = 10, 2.0  # solver steps and guidance, as most requests have them

GRAPH_ERROR = 1e-3
"""The most that a graph may differ from the same operators run eagerly."""
KERNEL_ERROR = 3e-2
"""The most that a first patch, and the samples of the same latents, may differ from those of
PyTorch's operators.  In bfloat16 both have errors of some 1e-2 after ten evaluations; later patches
continue from different ones."""
CLOSE_VOTE = 0.05
"""A stop flag may differ if its two logits are as close, as a part of the larger one."""


class Inputs(NamedTuple):
    """What two rows are given."""

    slots: tuple[int, int]
    seeds: tuple[int, int]
    ids: tuple[Sequence[int], Sequence[int]]  # of their texts


INPUTS = (
    Inputs((0, 1), (1, 2), (range(5, 12), range(20, 43))),
    Inputs((1, 0), (3, 2**40), (range(30, 35), range(3, 17))),
)


@dataclass(frozen=True)
class Speech:
    """What two rows made."""

    latents: Tensor  # [T, B, P, C]
    samples: Tensor  # [T, B, N]
    logits: Tensor  # [B, 2]: of the last patch, against and for a stop

    @property
    def finite(self) -> bool:
        """Whether all numbers are finite."""
        return all(bool(x.isfinite().all()) for x in (self.latents, self.samples, self.logits))


class PathRun:
    """A model on a path, with as many slots as the largest step that is timed."""

    def __init__(self, model: VoxCPM, path: ExecutionPath, capture: Capture) -> None:
        """``capture``: makes the graphs of a path that has them.

        The model has the operators of the path already.
        """
        self._model, self._path, self._inner = model, path, capture
        self._slots = model.new_slots(max(ROWS) + 1, min(LENGTH, model.config.max_length))
        self._runner = GraphRunner(
            model, self._slots, self._capture if path.graphs else enforce_eager
        )
        self._capture_error: Exception | None = None

    def _capture(self, run: Run) -> Run:
        try:
            return self._inner(run)
        except Exception as error:  # the runner only logs it, and runs eagerly
            self._capture_error = error
            raise

    def speak(self, inputs: Inputs) -> Speech:
        """Make the patches of both rows."""
        for slot, seed, ids in zip(*inputs, strict=True):
            self._begin(slot, seed, ids)
        latents: list[Tensor] = []  # each [B, P, C]
        samples: list[Tensor] = []  # each [B, N]
        while len(latents) < PATCHES:
            step = self._runner.launch(inputs.slots)
            step.stop_flags()
            if step.slots:  # not while the texts are prefilled
                latents.append(self._runner.latents[: len(step.slots)].clone())
                samples.append(torch.stack([torch.from_numpy(row) for row in step.samples()]))
        hidden = self._slots.hidden[list(inputs.slots)]  # [B, W]
        return Speech(
            torch.stack(latents).cpu(),
            torch.stack(samples),
            self._model.stop_logits(hidden).float().cpu(),
        )

    @torch.inference_mode()
    def decode(self) -> Tensor:
        """Return the samples ``[B, N]`` of random latents: the VAE alone, without graphs.

        The samples of a text tell little of it: they change much where latents change a little.
        """
        frames, channels = self._model.latent_shape
        generator = torch.Generator().manual_seed(1)
        latents = torch.randn(2, channels, PATCHES * frames, generator=generator)  # [B, C, T P]
        device, decoder = self._model.device, self._model.decoder
        buffers = [torch.zeros(2, *shape, device=device) for shape in decoder.conv_shapes]
        return decoder(latents.to(device), buffers, torch.arange(2, device=device)).cpu()

    def capture_graphs(self) -> str | None:
        """Capture the graphs that ``speak`` and ``step_ms`` lacked; return what went wrong."""
        while self._runner.capture_wanted():
            pass
        status = self._runner.status()
        if self._capture_error is not None:
            return f"a capture failed: {first_line(self._capture_error)}"
        if status["skipped"]:
            return "the device has no memory left for graphs"
        return None

    def step_ms(self, rows: int, clock: Callable[[], float] = time.perf_counter) -> float:
        """Return the milliseconds of a step of ``rows`` rows until its audio is on the host."""
        self.warm_up(rows)
        self.capture_graphs()  # of the stages that these steps took
        times: list[float] = []
        for _ in range(REPLAYS):
            begun = clock()
            self._step(rows)
            times.append(clock() - begun)
        return statistics.median(times) * 1000

    def warm_up(self, rows: int) -> None:
        """Start texts in the first ``rows`` slots, and run a few steps."""
        for slot in range(rows):
            self._begin(slot, slot, INPUTS[0].ids[0])
        for _ in range(WARM):
            self._step(rows)

    def _step(self, rows: int) -> None:
        """Run a step of the first ``rows`` slots to its end."""
        launched = self._runner.launch(range(rows))
        launched.stop_flags()
        launched.samples()

    @torch.inference_mode()
    def _begin(self, slot: int, seed: int, ids: Sequence[int]) -> None:
        parts = self._model.begin(self._slots, slot, ids)
        self._runner.begin(slot, parts, seed=seed, cfg=CFG, steps=STEPS)


def difference(speech: Speech, reference: Speech) -> float:
    """Return how much two speeches differ, relative to the reference (root mean square)."""
    pairs = ((speech.latents, reference.latents), (speech.samples, reference.samples))
    return max(relative_error(x, y) for x, y in pairs)


def relative_error(x: Tensor, reference: Tensor) -> float:
    """Return ``|x - reference| / |reference|`` in the Euclidean norm; both of any shape."""
    wide = reference.double()  # as `reference`
    scale = float(wide.norm())
    return float((x.double() - wide).norm()) / (scale or 1.0)


def stops_differ(speech: Speech, reference: Speech) -> bool:
    """Return whether a row would stop in one and not in the other, and the vote is not close."""
    votes, others = (one.logits[:, 1] - one.logits[:, 0] for one in (speech, reference))  # [B]
    scale = reference.logits.abs().amax(dim=1).clamp_min(1e-6)  # [B]
    clear = others.abs() > CLOSE_VOTE * scale  # [B]
    return bool(((votes > 0) != (others > 0)).logical_and(clear).any())


def first_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
