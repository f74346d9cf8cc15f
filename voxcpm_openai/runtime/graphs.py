"""CUDA graphs: a step is told the device in two words instead of thousands.

Graphs have fixed shapes, so batches are filled up to the next of a few sizes.  The pieces that they
are captured from are in ``pieces.py``; run as they are, they are the eager twins.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from voxcpm_openai.runtime.landing import Underway
from voxcpm_openai.runtime.model.state import Slots
from voxcpm_openai.runtime.model.voxcpm import Part, VoxCPM
from voxcpm_openai.runtime.orders import TOKENS
from voxcpm_openai.runtime.pieces import EVALUATIONS, Hear, Piece, Pieces, Speak
from voxcpm_openai.runtime.unread import Passage, Unread

logger = logging.getLogger(__name__)

ROWS = (1, 2, 4, *range(8, 128, 8), *range(128, 4097, 32))
"""Sizes of a batch."""
TEXTS = (0, 64, TOKENS)
"""Tokens of texts that are read beside."""
SPANS = (256, 512, 1024, 2048, 4096, 8192)
"""Positions that the language models look at, where they are copied first."""
SOLVERS = (4, 6, 9, 16, 32, 64, EVALUATIONS)
"""Evaluations of LocDiT: those of 5, 7 and 10 steps, which the presets have, and some others."""
USUAL = 9
"""The evaluations that graphs are captured for at the start."""
LEAST_FREE = 2**30
"""Bytes of the device below which no more graphs are captured."""

Run = Callable[[], None]
Capture = Callable[[Run], Run]
"""Makes of something to run what does the same whenever it is called.

It may run it before, once or more, and then waits until the device is through with all of before.
"""


class Graphs:
    """Steps the rows of a model.  The last of ``slots`` is spare."""

    def __init__(self, model: VoxCPM, slots: Slots, capture: Capture) -> None:
        self._slots = slots
        self._device = model.device
        self._pieces = Pieces(model, slots)
        self._capture = capture
        self._rows = _up_to(ROWS, slots.count - 1)
        spans = SPANS if model.ops.copies_the_past else ()
        self._spans = _up_to(spans, slots.length)
        self._evaluations: dict[int, int] = {}  # of each slot's job
        self._unread: dict[int, Unread] = {}  # prompts by slot, in the order of their arrival
        self._captured: dict[Piece, Run] = {}

    @property
    def latents(self) -> Tensor:
        """The patches of the last step, ``[B or more, P, C]``; the next one writes over them."""
        return self._pieces.latents

    def begin(self, slot: int, parts: Sequence[Part], *, seed: int, cfg: float, steps: int) -> None:
        """Note what the job in a slot wants, and what is to be read before it speaks.

        Raises InvalidRequest for more than 100 steps.
        """
        self._evaluations[slot] = self._pieces.begin(slot, seed=seed, cfg=cfg, steps=steps)
        self._unread.pop(slot, None)  # whoever comes last is read last
        self._unread[slot] = Unread(parts)

    @torch.inference_mode()
    def launch(self, slots: Sequence[int]) -> Underway:
        """Begin to make the next patch of these rows; each must have a position left.

        Texts of theirs that are not read are read first, beside the others' last patches, as far as
        there is room; who has more to read makes no patch.  Not to be called before the ``stops``
        of the step before are known.
        """
        hear = [slot for slot in slots if self._slots.unheard[slot]]
        read = self._passages(slots)
        speak = [slot for slot in slots if slot not in self._unread]
        hearing = self._graph(self._hearing(hear, read)) if hear or read else None
        speaking = self._graph(self._speaking(speak)) if speak else None
        self._pieces.orders.tell(hear, speak, read)
        if hearing:
            hearing()
            self._slots.heard(hear)
        stops = self._pieces.landing.stops()
        if speaking:
            speaking()
            self._slots.spoke(speak)
        return Underway(speak, stops, self._pieces.landing.sound(len(speak)))

    def _passages(self, slots: Sequence[int]) -> list[Passage]:
        """Take what a step reads: of those who came first, as much as there is room for."""
        room, passages = TOKENS, []
        for slot, unread in list(self._unread.items()):
            if slot not in slots or not room:
                continue
            parts, position = unread.take(room), self._slots.used[slot]
            count = sum(map(len, parts))
            passages.append(Passage(slot, position, parts, last=not len(unread)))
            self._slots.read(slot, count)
            room -= count
            if passages[-1].last:
                del self._unread[slot]
        return passages

    def _hearing(self, hear: Sequence[int], read: Sequence[Passage]) -> Hear:
        span = max(
            [self._slots.used[slot] + 1 for slot in hear]
            + [self._slots.used[passage.slot] for passage in read]
        )
        if span > self._slots.length:
            raise ValueError(f"a slot is full: it has {self._slots.length} positions.")
        tokens = sum(len(part) for passage in read for part in passage.parts)
        rows = _least((0, *self._rows), len(hear))
        return Hear(rows, _least(TEXTS, tokens), _least(self._spans, span))

    def _speaking(self, speak: Sequence[int]) -> Speak:
        evaluations = max(self._evaluations[slot] for slot in speak)
        return Speak(_least(self._rows, len(speak)), _least(SOLVERS, evaluations))

    @torch.inference_mode()
    def prepare(self, seconds: float) -> int:
        """Capture those that are used most, for so long; return how many there are then."""
        begun = time.monotonic()
        for piece in self._most_used():
            if time.monotonic() > begun + seconds:
                break
            self._graph(piece)
        count, took = len(self._captured), time.monotonic() - begun
        logger.info("%d graphs are ready after %.1f s", count, took)
        return count

    def _most_used(self) -> Iterator[Piece]:
        """Small batches first: they are what a newcomer finds."""
        yield Hear(0, TEXTS[1], self._spans[0])
        for rows in self._rows:
            yield Speak(rows, USUAL)
            for span in self._spans:
                yield Hear(rows, 0, span)
                yield Hear(rows, TEXTS[1], span)

    def _graph(self, piece: Piece) -> Run:
        """Return what runs a piece; it is captured at its first use, if there is room for it."""
        if piece not in self._captured:
            run = partial(self._pieces.run, piece)
            self._pieces.orders.tell([], [], [])  # a capture may run it: on the spare slot alone
            self._captured[piece] = self._capture(run) if self._has_room() else run
        return self._captured[piece]

    def _has_room(self) -> bool:
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        return free > LEAST_FREE


class CudaCapture:
    """Captures on a device.  All graphs share their memory: they run one after the other, and what
    a piece leaves behind lies in buffers of its own.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run) -> Run:
        """Run once, so that libraries are ready and have chosen their kernels; then capture.

        The device has done what it was given before when this returns: ``torch.cuda.graph`` waits.
        """
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            run()
        current.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads encode clips meanwhile: what they do on the device is none of the graph's.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            run()
        replay: Run = graph.replay
        return replay


def eagerly(run: Run) -> Run:
    """Capture nothing: the eager twins."""
    return run


def _up_to(sizes: Sequence[int], most: int) -> tuple[int, ...]:
    """Return the sizes below ``most``, and ``most``."""
    return (*sizes[: bisect_left(sizes, most)], most)


def _least(sizes: Sequence[int], wanted: int) -> int:
    """Return the smallest of the rising ``sizes`` that is not below ``wanted``."""
    return sizes[bisect_left(sizes, wanted)]
