"""CUDA graphs: the host launches a step with two calls instead of thousands.

Graphs have fixed shapes, so batches are padded to the next of a few sizes.  The stages that they
capture are in ``stages.py``; run operator by operator, they are the eager fallback.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from voxcpm_openai.runtime.device.async_copy import DeviceStep
from voxcpm_openai.runtime.device.batch_inputs import MAX_PREFILL_TOKENS, PrefillChunk, PrefillQueue
from voxcpm_openai.runtime.device.capture import Capture, Run, enforce_eager
from voxcpm_openai.runtime.device.stages import AcousticStage, LMStage, Stage, Stages, VAEStage
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import SequencePart, VoxCPM

logger = logging.getLogger(__name__)

BATCH_SIZES = (1, 2, 4, *range(8, 128, 8), *range(128, 4097, 32))
"""Rows of a stage."""
PREFILL_SIZES = (0, 64, 128, MAX_PREFILL_TOKENS)
"""Prompt tokens of a stage; 128 only where each row gathers keys and values, which costs more than
its share of the products."""
KV_LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
"""Positions that the language models attend to, where keys and values are gathered first."""
PRESET_EVALUATIONS = (9, 6, 4)
"""Evaluations of LocDiT that ``warmup`` captures graphs for: those of 10, 7 and 5 steps, which the
presets use."""
EVALUATION_COUNTS = (4, 6, 9, 16)
"""Evaluations of graphs.  More run eagerly: clients may ask for any number of steps, and each graph
takes memory, and up to .6 s in which nothing else runs."""
MIN_FREE_BYTES = 2**30
"""No more graphs are captured when less memory is free on the device."""


class GraphRunner:
    """Steps the rows of a model.  The last of ``slots`` is the padding slot."""

    def __init__(self, model: VoxCPM, slots: Slots, capture: Capture) -> None:
        self._model, self._slots = model, slots
        self._stages = Stages(model, slots)
        self._graphs = Graphs(self._stages, capture, model.device)
        self._batch_sizes = _sizes_up_to(BATCH_SIZES, slots.count - 1)
        self._set_sizes()
        self._evaluations: dict[int, int] = {}  # of each slot's job
        self._prefill_queues: dict[int, PrefillQueue] = {}  # by slot, in the order of arrival

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
        graphs, run_lm, run_acoustic, run_vae = self._graphs, None, None, None
        if lm_slots or prefill:
            run_lm = graphs.run_of(self._lm_stage(lm_slots, prefill))
        if acoustic_slots:
            acoustic = self._acoustic_stage(acoustic_slots)
            run_acoustic = graphs.run_of(acoustic)
            run_vae = graphs.run_of(VAEStage(acoustic.rows))
        self._stages.inputs.upload(lm_slots, acoustic_slots, prefill)
        if run_lm:
            run_lm()
            self._slots.mark_encoded(lm_slots)
        stop_flags = self._stages.output.copy_stop_flags()
        if run_acoustic:
            self._stages.vae_stream.hold_steps()  # until the last patches are taken
            run_acoustic()
            self._slots.mark_generated(acoustic_slots)
        with self._stages.vae_stream.after_steps():
            if run_vae:
                self._stages.take_latents()
                self._stages.vae_stream.mark()
                run_vae()
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
            _smallest_at_least(self._prefill_sizes, tokens),
            _smallest_at_least(self._kv_lengths, kv_len),
        )

    def _acoustic_stage(self, acoustic_slots: Sequence[int]) -> AcousticStage:
        evaluations = max(self._evaluations[slot] for slot in acoustic_slots)
        if evaluations <= EVALUATION_COUNTS[-1]:
            evaluations = _smallest_at_least(EVALUATION_COUNTS, evaluations)
        rows = _smallest_at_least(self._batch_sizes, len(acoustic_slots))
        return AcousticStage(rows, evaluations)

    @torch.inference_mode()
    def warmup(self, seconds: float) -> int:
        """Capture the most used graphs for ``seconds``; return the number of graphs.

        Kernels are compiled before, which may take longer, and without graphs as well.
        """
        self._run_each_kind()
        begun = time.monotonic()
        for stage in self._default_stages():
            if time.monotonic() > begun + seconds:
                break
            self._graphs.capture(stage)
        count, elapsed = self._graphs.status()["captured"], time.monotonic() - begun
        logger.info("%d graphs are ready after %.1f s", count, elapsed)
        return count

    def _run_each_kind(self) -> None:
        """Run a stage of each kind for which kernels are compiled, libraries loaded, plans made.

        These depend on the rows, not on the positions; on the evaluations only at multiples of 16.
        """
        begun, shortest = time.monotonic(), (self._kv_lengths[0], min(PRESET_EVALUATIONS))
        self._stages.pad()
        self._stages.run(AcousticStage(1, EVALUATION_COUNTS[-1]))
        for stage in self._default_stages():
            # The last field: positions, or evaluations.
            if isinstance(stage, VAEStage) or stage[-1] in shortest:
                with self._stages.stream_of(stage):
                    self._stages.run(stage)
        logger.info("kernels are ready after %.1f s", time.monotonic() - begun)

    def _default_stages(self) -> Iterator[Stage]:
        """Yield small batches first: the first clients need them."""
        for tokens in self._prefill_sizes[1:]:
            yield LMStage(0, tokens, self._kv_lengths[0])
        default, *others = PRESET_EVALUATIONS
        for rows in self._batch_sizes:
            yield AcousticStage(rows, default)
            yield VAEStage(rows)
            for kv_len in self._kv_lengths:
                yield LMStage(rows, 0, kv_len)
                yield LMStage(rows, self._prefill_sizes[1], kv_len)
            for evaluations in others:
                yield AcousticStage(rows, evaluations)

    def _set_sizes(self) -> None:
        """Set what else the batches are padded to, as the operators need it."""
        gathers_kv = self._model.ops.gathers_kv
        self._kv_lengths = _sizes_up_to(KV_LENGTHS if gathers_kv else (), self._slots.length)
        self._prefill_sizes = tuple(size for size in PREFILL_SIZES if size != 128 or gathers_kv)

    def fall_back(self) -> None:
        """Run all later steps eagerly, with the operators that the model has now."""
        self._stages.take_operators()
        self._graphs = Graphs(self._stages, enforce_eager, self._model.device)
        self._set_sizes()

    @torch.inference_mode()
    def capture_wanted(self) -> bool:
        """Capture a graph that a step lacked, while no step is in flight; return whether one was.

        It takes up to .6 s.
        """
        return self._graphs.capture_wanted()

    def status(self) -> Mapping[str, int]:
        """Return the numbers of graphs; see ``Graphs.status``."""
        return self._graphs.status()


class Graphs:
    """The graphs of the stages.  A stage without one runs eagerly, and wants one."""

    def __init__(self, stages: Stages, capture: Capture, device: torch.device) -> None:
        self._stages = stages
        self._capture = capture
        self._device = device
        self._captured: dict[Stage, Run] = {}
        self._wanted: dict[Stage, None] = {}  # the one wanted first comes first
        self._failed: set[Stage] = set()
        self._skipped: set[Stage] = set()  # for lack of memory

    def run_of(self, stage: Stage) -> Run:
        """Return what runs a stage: its graph, or its operators."""
        if (graph := self._captured.get(stage)) is not None:
            return graph
        if self._capture is not enforce_eager and _may_have_graph(stage):
            self._wanted[stage] = None
        return partial(self._stages.run, stage)

    def capture_wanted(self) -> bool:
        """Capture the graph that was wanted first; return whether one was wanted."""
        for stage in self._wanted:
            self.capture(stage)
            return True
        return False

    def capture(self, stage: Stage) -> None:
        """Capture a graph if memory is left for it.  If that fails, the stage runs eagerly.

        Raises DeviceError if the device is lost.
        """
        self._wanted.pop(stage, None)
        if stage in self._captured or stage in self._failed or stage in self._skipped:
            return
        if not self._has_room():
            self._skipped.add(stage)
            return
        self._stages.pad()  # a capture may run the stage
        try:
            with self._stages.stream_of(stage):
                self._captured[stage] = self._capture(partial(self._stages.run, stage))
        except Exception:  # of PyTorch, a library or a compiler
            self._check_device()
            logger.warning("%s is not captured and runs eagerly", stage, exc_info=True)
            self._failed.add(stage)

    def status(self) -> Mapping[str, int]:
        """Return the numbers of graphs: captured, wanted, failed, skipped for lack of memory."""
        return {
            "captured": len(self._captured),
            "wanted": len(self._wanted),
            "failed": len(self._failed),
            "skipped": len(self._skipped),
        }

    def _check_device(self) -> None:
        """Raise DeviceError if what the device was given has failed."""
        if self._device.type == "cuda":
            try:
                torch.cuda.synchronize(self._device)
            except RuntimeError as error:
                raise DeviceError(str(error)) from error

    def _has_room(self) -> bool:
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        return free > MIN_FREE_BYTES


def _may_have_graph(stage: Stage) -> bool:
    return not isinstance(stage, AcousticStage) or stage.evaluations <= EVALUATION_COUNTS[-1]


def _sizes_up_to(sizes: Sequence[int], largest: int) -> tuple[int, ...]:
    """Return the sizes below ``largest``, and ``largest``."""
    return (*sizes[: bisect_left(sizes, largest)], largest)


def _smallest_at_least(sizes: Sequence[int], minimum: int) -> int:
    """Return the first of the rising ``sizes`` that is at least ``minimum``."""
    return sizes[bisect_left(sizes, minimum)]
