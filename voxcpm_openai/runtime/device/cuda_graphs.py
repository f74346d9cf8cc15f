"""CUDA graphs: the host launches a step with two calls instead of thousands.

Graphs have fixed shapes, so batches are padded to the next of a few sizes.  The stages that they
capture are in ``stages.py``; run operator by operator, they are the eager fallback.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from voxcpm_openai.runtime.device.async_copy import DeviceStep
from voxcpm_openai.runtime.device.batch_inputs import MAX_PREFILL_TOKENS, PrefillChunk, PrefillQueue
from voxcpm_openai.runtime.device.stages import (
    MAX_EVALUATIONS,
    AcousticStage,
    LMStage,
    Stage,
    Stages,
)
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import SequencePart, VoxCPM

logger = logging.getLogger(__name__)

BATCH_SIZES = (1, 2, 4, *range(8, 128, 8), *range(128, 4097, 32))
"""Rows of a stage."""
PREFILL_SIZES = (0, 64, MAX_PREFILL_TOKENS)
"""Prompt tokens of a stage."""
KV_LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
"""Positions that the language models attend to, where keys and values are gathered first."""
EVALUATION_COUNTS = (4, 6, 9, 16, 32, 64, MAX_EVALUATIONS)
"""Evaluations of LocDiT: those of 5, 7 and 10 steps, which the presets use, and some others."""
DEFAULT_EVALUATIONS = 9
"""The evaluations that ``warmup`` captures graphs for."""
MIN_FREE_BYTES = 2**30
"""No more graphs are captured when less memory is free on the device."""

Run = Callable[[], None]
Capture = Callable[[Run], Run]
"""Returns a function that repeats the work of the given one.

It may call the given one, and then waits until the device has finished all earlier work.
"""


class GraphRunner:
    """Steps the rows of a model.  The last of ``slots`` is the padding slot."""

    def __init__(self, model: VoxCPM, slots: Slots, capture: Capture) -> None:
        self._slots = slots
        self._device = model.device
        self._stages = Stages(model, slots)
        self._capture = capture
        self._batch_sizes = _sizes_up_to(BATCH_SIZES, slots.count - 1)
        kv_lengths = KV_LENGTHS if model.ops.gathers_kv else ()
        self._kv_lengths = _sizes_up_to(kv_lengths, slots.length)
        self._evaluations: dict[int, int] = {}  # of each slot's job
        self._prefill_queues: dict[int, PrefillQueue] = {}  # by slot, in the order of arrival
        self._captured: dict[Stage, Run] = {}

    @property
    def latents(self) -> Tensor:
        """The patches of the last step, ``[B or more, P, C]``; the next step overwrites them."""
        return self._stages.latents

    def begin(
        self, slot: int, parts: Sequence[SequencePart], *, seed: int, cfg: float, steps: int
    ) -> None:
        """Set the parameters of a slot's job, and the parts to prefill.

        Raises InvalidRequest for more than 100 steps.
        """
        self._evaluations[slot] = self._stages.begin(slot, seed=seed, cfg=cfg, steps=steps)
        self._prefill_queues.pop(slot, None)  # so that a new job comes last in the order
        self._prefill_queues[slot] = PrefillQueue(parts)

    @torch.inference_mode()
    def launch(self, slots: Sequence[int]) -> DeviceStep:
        """Launch a step of these rows; each must have a position left.

        Prompts are prefilled beside the last patches of other rows, up to a limit; rows that are
        not through with their prompt get no patch.  Wait for the ``stop_flags`` of the previous
        step before the call.
        """
        lm_slots = [slot for slot in slots if self._slots.pending_encode[slot]]
        prefill = self._prefill_chunks(slots)
        acoustic_slots = [slot for slot in slots if slot not in self._prefill_queues]
        run_lm = self._graph(self._lm_stage(lm_slots, prefill)) if lm_slots or prefill else None
        run_acoustic = self._graph(self._acoustic_stage(acoustic_slots)) if acoustic_slots else None
        self._stages.inputs.upload(lm_slots, acoustic_slots, prefill)
        if run_lm:
            run_lm()
            self._slots.mark_encoded(lm_slots)
        stop_flags = self._stages.output.copy_stop_flags()
        if run_acoustic:
            run_acoustic()
            self._slots.mark_generated(acoustic_slots)
        samples = self._stages.output.copy_samples(len(acoustic_slots))
        return DeviceStep(acoustic_slots, stop_flags, samples)

    def _prefill_chunks(self, slots: Sequence[int]) -> list[PrefillChunk]:
        """Remove from the queues of these slots what the next step prefills, oldest first."""
        budget, chunks = MAX_PREFILL_TOKENS, []
        for slot, queue in list(self._prefill_queues.items()):
            if slot not in slots or not budget:
                continue
            parts, position = queue.pop(budget), self._slots.used[slot]
            count = sum(map(len, parts))
            chunks.append(PrefillChunk(slot, position, parts, last=not len(queue)))
            self._slots.mark_prefilled(slot, count)
            budget -= count
            if chunks[-1].last:
                del self._prefill_queues[slot]
        return chunks

    def _lm_stage(self, lm_slots: Sequence[int], prefill: Sequence[PrefillChunk]) -> LMStage:
        kv_len = max(
            [self._slots.used[slot] + 1 for slot in lm_slots]
            + [self._slots.used[chunk.slot] for chunk in prefill]
        )
        if kv_len > self._slots.length:
            raise ValueError(f"a slot is full: it has {self._slots.length} positions.")
        tokens = sum(len(part) for chunk in prefill for part in chunk.parts)
        return LMStage(
            _smallest_at_least((0, *self._batch_sizes), len(lm_slots)),
            _smallest_at_least(PREFILL_SIZES, tokens),
            _smallest_at_least(self._kv_lengths, kv_len),
        )

    def _acoustic_stage(self, acoustic_slots: Sequence[int]) -> AcousticStage:
        evaluations = max(self._evaluations[slot] for slot in acoustic_slots)
        return AcousticStage(
            _smallest_at_least(self._batch_sizes, len(acoustic_slots)),
            _smallest_at_least(EVALUATION_COUNTS, evaluations),
        )

    @torch.inference_mode()
    def warmup(self, seconds: float) -> int:
        """Capture the most used graphs for ``seconds``; return the number of graphs."""
        begun = time.monotonic()
        for stage in self._default_stages():
            if time.monotonic() > begun + seconds:
                break
            self._graph(stage)
        count, elapsed = len(self._captured), time.monotonic() - begun
        logger.info("%d graphs are ready after %.1f s", count, elapsed)
        return count

    def _default_stages(self) -> Iterator[Stage]:
        """Yield small batches first: the first clients need them."""
        yield LMStage(0, PREFILL_SIZES[1], self._kv_lengths[0])
        for rows in self._batch_sizes:
            yield AcousticStage(rows, DEFAULT_EVALUATIONS)
            for kv_len in self._kv_lengths:
                yield LMStage(rows, 0, kv_len)
                yield LMStage(rows, PREFILL_SIZES[1], kv_len)

    def _graph(self, stage: Stage) -> Run:
        """Return the graph of a stage, captured at its first use if memory is left for it."""
        if stage not in self._captured:
            run = partial(self._stages.run, stage)
            # A capture may run the stage: on the padding slot only.
            self._stages.inputs.upload([], [], [])
            self._captured[stage] = self._capture(run) if self._has_room() else run
        return self._captured[stage]

    def _has_room(self) -> bool:
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        return free > MIN_FREE_BYTES


class CudaCapture:
    """Captures graphs on a device.

    All graphs share a memory pool: they run one after the other, and their results are in buffers
    outside the pool.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run) -> Run:
        """Run once, so that libraries are initialized and kernels chosen; then capture.

        ``torch.cuda.graph`` waits until the device has finished all earlier work.
        """
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            run()
        current.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads encode clips meanwhile: their calls must not invalidate the capture.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            run()
        replay: Run = graph.replay
        return replay


def enforce_eager(run: Run) -> Run:
    """Capture nothing: the eager fallback."""
    return run


def _sizes_up_to(sizes: Sequence[int], largest: int) -> tuple[int, ...]:
    """Return the sizes below ``largest``, and ``largest``."""
    return (*sizes[: bisect_left(sizes, largest)], largest)


def _smallest_at_least(sizes: Sequence[int], minimum: int) -> int:
    """Return the first of the rising ``sizes`` that is at least ``minimum``."""
    return sizes[bisect_left(sizes, minimum)]
