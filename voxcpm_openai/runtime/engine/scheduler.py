"""The scheduler: which jobs get a slot, which rows step next, and which requests are refused.

Decisions only: no model, no threads, no clock.  Times are seconds on the caller's clock.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from voxcpm_openai.errors import Overloaded
from voxcpm_openai.runtime.engine.job import Job, JobState
from voxcpm_openai.runtime.engine.runner_protocol import Step
from voxcpm_openai.runtime.engine.stream import BatchedStream
from voxcpm_openai.runtime.engine.timing import StepCostModel, smoothed

MIN_HEADROOM = 1.5
"""Seconds of audio that a listener has left; below that, its row is urgent."""


class BatchRow(NamedTuple):
    """A job in a slot, and its stream."""

    stream: BatchedStream
    job: Job


@dataclass(frozen=True, slots=True)
class InFlightStep:
    """A launched step and its rows by slot.  Rows that left meanwhile get nothing of it."""

    step: Step
    rows: Mapping[int, BatchRow]
    launched: float


class Scheduler:
    """Owns the slots and the state of every job.

    Earliest deadline first: a job is due when its listener runs out of audio
    (``BatchedStream.deadlines``).  A deadline moves only when audio is delivered, and new requests
    have later ones, so that no row starves.  ``live`` maps slots to rows; ``waiting`` counts the
    jobs without a slot; ``ended`` counts the jobs that were done, failed and cancelled.
    """

    def __init__(
        self,
        slots: int,
        *,
        rows_per_step: int,
        max_waiting: int,
        max_wait: float,
        patch_seconds: float,
    ) -> None:
        """``slots``: rows of the batch; ``rows_per_step``: the most that one step advances.

        ``patch_seconds``: the audio that a step makes for a row.  ``max_waiting``: the most
        listeners that wait for a slot; ``max_wait``: the longest predicted wait, in seconds.
        """
        self.live: dict[int, BatchRow] = {}
        self.ended: Counter[JobState] = Counter()
        self.waiting = 0
        self.iteration_seconds = 0.0
        self._rows_per_step = rows_per_step
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._patch_seconds = patch_seconds
        # Slots that later segments of a text leave to new requests.
        self._reserved = min(slots - 1, max(1, slots // 4))
        self._step_cost = StepCostModel()
        self._step_seconds = self._read_seconds = 0.0  # of the last step, and part of a prompt
        self._free = list(range(slots))  # a heap: low slots first keep the batch dense
        self._streams: dict[BatchedStream, None] = {}  # in order of arrival

    @property
    def streams(self) -> tuple[BatchedStream, ...]:
        """All streams that have not ended, in order of arrival."""
        return tuple(self._streams)

    def join(self, stream: BatchedStream) -> None:
        """Add a stream, whose jobs wait.  Raises Overloaded."""
        self.check_room()
        self._streams[stream] = None
        self.waiting += len(stream.jobs)

    def check_room(self) -> None:
        """Raise Overloaded if a new request would wait too long, or behind too many others."""
        queued = len(self._waiting_streams()) - len(self._free)
        seconds = self.predicted_wait()
        if queued >= self._max_waiting or seconds > self._max_wait:
            raise Overloaded(
                f"The engine is busy: {max(0, queued)} other requests wait. "
                f"Try again in {max(1, math.ceil(seconds))} s.",
                retry_after=math.ceil(seconds),
            )

    def predicted_wait(self) -> float:
        """Return the seconds until a new request gets a slot; 0 until an iteration was measured."""
        before = len(self._waiting_streams()) - len(self._free)
        if before < 0:
            return 0.0
        jobs = [row.job for row in self.live.values()]
        rounds, place = divmod(before, len(jobs)) if jobs else (0, 0)
        patches = sorted(job.patches_left for job in jobs)[place] if jobs else 0
        patches += rounds * max((job.length.expected_patches for job in jobs), default=0)
        iterations_per_step = math.ceil(len(jobs) / self._rows_per_step)
        return patches * iterations_per_step * self.iteration_seconds

    def spare_seconds(self, now: float) -> float:
        """Return how long all listeners can do without the engine and have ``MIN_HEADROOM`` left.

        It is negative if one of them cannot, and infinite if there is none.
        """
        deadlines = (stream.clock.deadline for stream in self._streams)
        return min(deadlines, default=math.inf) - now - MIN_HEADROOM

    def record_iteration(self, seconds: float) -> None:
        """Record the duration of an iteration of the engine's loop."""
        self.iteration_seconds = smoothed(self.iteration_seconds, seconds)

    def record_step(self, rows: int, seconds: float) -> None:
        """Record the duration of a step of ``rows`` rows."""
        self._step_cost.record(rows, seconds)
        self._step_seconds = seconds

    def record_read(self, seconds: float) -> None:
        """Record how long a part of a prompt took."""
        self._read_seconds = seconds

    def admit(self, now: float) -> list[tuple[int, BatchRow]]:
        """Give free slots to waiting jobs; return the slots and their new rows.

        Jobs that a listener waits for come first.  The others join one at a time and alone.  While
        a larger batch would be too slow for rows that are urgent, only the next segment of each
        text does, so that its prompt can be read before it is needed.
        """
        if not self.waiting:
            return []
        waiting = self._waiting_streams()
        waiting.sort(key=lambda stream: stream.clock.deadline)
        if waiting or len(self._free) <= self._reserved:
            return [self._place(s, s.current) for s in waiting[: len(self._free)]]
        pressed = self._urgent_slots(self.live, 1, now)
        ready = [
            (deadline, number, stream, job)
            for number, stream in enumerate(self._streams)
            for job, deadline in _first(1, JobState.WAITING, stream)
            if job.after is None or job.after.state is JobState.DONE
            if not pressed or job.index == stream.current.index + 1
        ]
        if not ready:
            return []
        _, _, stream, job = min(ready, key=lambda entry: entry[:2])
        return [self._place(stream, job)]

    def reading(self, now: float) -> list[tuple[int, BatchRow, bool]]:
        """Return the rows whose prompts are read before the next step, and whether to the end.

        To the end where a listener waits.  Of the others, the one that is due first gets a part, if
        every listener has a patch left after it and a step; or, where no row keeps up, if it is one
        of the rows that would be stepped.
        """
        rows = [(slot, row) for slot, row in self.live.items() if row.job.reading]
        awaited = [(slot, row, True) for slot, row in rows if row.stream.current is row.job]
        if awaited or not rows:
            return awaited
        read_seconds = self._read_seconds or self._step_seconds
        if self._runs_dry(now + read_seconds + self._step_seconds + self._patch_seconds):
            if self._keeps_up(_played(self._going())):
                return []
            stepped = self._urgent_slots(self.live, 0, now)
            rows = [entry for entry in rows if entry[0] in stepped] if stepped else rows
        if not rows:
            return []
        deadlines = self._deadlines()
        return [(*min(rows, key=lambda entry: deadlines[entry[1].job]), False)]

    def rows(self, now: float) -> list[int]:
        """Return the slots to step now: all, or the ``rows_per_step`` with the earliest deadlines.

        A job that has ended is not stepped; it leaves when its audio has arrived.  Nor is one whose
        prompt is still read.  If a step of all rows is slower than playback and one of the urgent
        rows is not, only these are stepped: later segments of a text must not interrupt the one
        that is being played.
        """
        going = self._going()
        slots = self._urgent_slots(going, 0, now) or list(going)
        if len(slots) > self._rows_per_step:
            deadlines = self._deadlines()
            slots.sort(key=lambda slot: deadlines[self.live[slot].job])
        return sorted(slots[: self._rows_per_step])

    def _urgent_slots(self, rows: Mapping[int, BatchRow], joining: int, now: float) -> list[int]:
        """Return the slots to step instead of all of ``rows``, or none.

        ``joining``: rows that would be added to them.  Later segments wait anyway if a listener has
        not enough audio for the longest time that a full step may take: how long it does may not be
        known.
        """
        close = self._runs_dry(now + self._step_cost.at_most(len(rows) + joining))
        if self._keeps_up(rows, joining) and not close:
            return []
        deadlines = self._deadlines()
        urgent = {s: row for s, row in rows.items() if deadlines[row.job] < now + MIN_HEADROOM}
        played = _played(urgent)
        for some in (_played(rows) if close else urgent, played):
            if self._keeps_up(some):
                return list(some)
        order = sorted(rows, key=lambda slot: deadlines[rows[slot].job])
        return order[: self._fewest(played, len(rows))]

    def _fewest(self, played: Mapping[int, BatchRow], most: int) -> int:
        """Return how many rows make audio as fast as ``played`` need it, or 0 if ``most`` do not.

        A further row costs less than the first.  Where one is too slow for its listener, two may be
        fast enough together: the listener waits during one segment, and not in those that follow.
        """
        within = self._shortest(played)
        counts = range(len(played) + 1, most + 1)
        fitting = (n for n in counts if self._step_cost.fits(n, within * n / len(played)))
        return next(fitting, 0)

    def _runs_dry(self, moment: float) -> bool:
        """Return whether a listener whose row is stepped runs out of audio before this moment."""
        return any(
            stream.clock.deadline < moment
            for stream in self._streams
            if stream.current.state is not JobState.WAITING
        )

    def _going(self) -> dict[int, BatchRow]:
        """Return the rows that can be stepped."""
        return {
            slot: row for slot, row in self.live.items() if not (row.job.ended or row.job.reading)
        }

    def _keeps_up(self, rows: Mapping[int, BatchRow], joining: int = 0) -> bool:
        """Return whether a step of these rows is as fast as their listeners play."""
        return self._step_cost.keeps_up(len(rows) + joining, self._shortest(rows))

    def _shortest(self, rows: Mapping[int, BatchRow]) -> float:
        """Return the seconds in which the fastest listener plays a patch."""
        times = (row.stream.clock.playing_time(self._patch_seconds) for row in rows.values())
        return min(times, default=self._patch_seconds)

    def _deadlines(self) -> dict[Job, float]:
        """Return when each live job's next patch is needed."""
        rows = Counter(row.stream for row in self.live.values())
        return dict(
            entry
            for stream, count in rows.items()
            for entry in _first(count, JobState.LIVE, stream)
        )

    def vacate(self, slot: int, state: JobState) -> None:
        """Take a job out of its slot: it is DONE, or WAITING to be retried."""
        job = self.live.pop(slot).job
        heapq.heappush(self._free, slot)
        self._set_state(job, state)

    def leave(self, stream: BatchedStream, state: JobState) -> list[int]:
        """Remove a stream; its unfinished jobs end as ``state``.  Return the slots they had."""
        slots = [slot for slot, row in self.live.items() if row.stream is stream]
        for slot in slots:
            self.vacate(slot, state)
        for job in stream.jobs:
            if job.state is JobState.WAITING:
                self._set_state(job, state)
        self._streams.pop(stream, None)
        return slots

    def _set_state(self, job: Job, state: JobState) -> None:
        self.waiting += (state is JobState.WAITING) - (job.state is JobState.WAITING)
        job.state = state
        if state not in (JobState.WAITING, JobState.LIVE):
            self.ended[state] += 1

    def _place(self, stream: BatchedStream, job: Job) -> tuple[int, BatchRow]:
        slot = heapq.heappop(self._free)
        row = self.live[slot] = BatchRow(stream, job)
        self._set_state(job, JobState.LIVE)
        return slot, row

    def _waiting_streams(self) -> list[BatchedStream]:
        """Return the streams whose listener waits for a job that has no slot."""
        return [stream for stream in self._streams if stream.current.state is JobState.WAITING]


def _played(rows: Mapping[int, BatchRow]) -> dict[int, BatchRow]:
    """Return the rows whose audio listeners get now, and not later."""
    return {slot: row for slot, row in rows.items() if row.stream.current is row.job}


def _first(count: int, state: JobState, stream: BatchedStream) -> Iterator[tuple[Job, float]]:
    """Return the first jobs of a stream in a state, with their deadlines, which ascend."""
    matching = ((job, due) for job, due in stream.deadlines() if job.state is state)
    return islice(matching, count)
