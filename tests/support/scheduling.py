"""Schedulers and streams of whole seconds, with the clock set by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxcpm_openai.contracts import Segment
from voxcpm_openai.runtime.engine.job import Job, JobState, LengthEstimate
from voxcpm_openai.runtime.engine.scheduler import Scheduler
from voxcpm_openai.runtime.engine.stream import BatchedStream

RATE = 100
SECOND = np.full(RATE, 0.5, np.float32)
"""A patch: one second of audio."""


@dataclass(frozen=True)
class Prepared:
    tokens: int = 1
    room: int = 1_000


def stream(
    *expected_patches: int, arrived: float = 0.0, one_speaker: bool = False
) -> BatchedStream:
    """Return a stream of segments with these expected lengths in seconds."""
    jobs: list[Job] = []
    for index, seconds in enumerate(expected_patches):
        after = jobs[0] if jobs and one_speaker else None
        length = LengthEstimate(1.0, 1, seconds, 1_000)
        jobs.append(Job(index, Segment("word"), Prepared(), length, RATE, root_seed=0, after=after))
    return BatchedStream(jobs, RATE, arrived)


def scheduler(
    slots: int, *, rows: int = 99, max_waiting: int = 99, max_wait: float = 1e9
) -> Scheduler:
    return Scheduler(
        slots, rows_per_step=rows, max_waiting=max_waiting, max_wait=max_wait, patch_seconds=1.0
    )


def join(scheduler: Scheduler, *streams: BatchedStream) -> None:
    for one in streams:
        scheduler.join(one)


def admitted(scheduler: Scheduler) -> list[Job]:
    return [row.job for _, row in scheduler.admit(0.0)]


def fill(scheduler: Scheduler) -> None:
    """Admit jobs until no more may join."""
    while scheduler.admit(0.0):
        pass


def step(scheduler: Scheduler, slot: int, now: float, *, stopped: bool = False) -> None:
    """Append a second of audio in a slot, as the engine does."""
    row = scheduler.live[slot]
    row.job.count_patch(stopped)
    state = row.job.append_audio(SECOND)
    if state is not JobState.LIVE:
        scheduler.vacate(slot, state)
    row.stream.deliver(now)
    if row.stream.ended:
        scheduler.leave(row.stream, JobState.DONE)
