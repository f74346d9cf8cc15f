"""The scheduler: who gets a slot, who is stepped next, and who must come back later.

Pure decisions: no model, no threads, no clock.  Times are seconds on the caller's clock.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from voxcpm_openai.errors import Overloaded
from voxcpm_openai.runtime.burden import Burden
from voxcpm_openai.runtime.job import Job, State
from voxcpm_openai.runtime.stream import Stream

SLACK = 1.5
"""Seconds of sound in a listener's hand; with more than that, what is heard later may come in."""
NEWEST = 0.1
"""The weight of the newest measurement in a smoothed one."""


class Row(NamedTuple):
    """A job in a slot, and the stream that it belongs to."""

    stream: Stream
    job: Job


class Scheduler:
    """Owns the slots, and the state of every job.

    Deadlines decide: a job is due when its listener runs dry (``Stream.dues``).  A deadline moves
    only when sound is handed out, and newcomers' lie behind it, so that nobody starves.  ``live``
    maps slots to rows; ``waiting`` counts the jobs without a slot, segments that nobody listens to
    yet among them, ``ended`` those that were done, failed and cancelled.
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
        """``slots``: places in the batch; ``rows_per_step``: how many of them a step carries.

        ``patch_seconds``: how long a row's sound of one step is heard.
        ``max_waiting``: listeners who may wait for a slot; ``max_wait``: for how many seconds.
        """
        self.live: dict[int, Row] = {}
        self.ended: Counter[State] = Counter()
        self.waiting = 0
        self.turn_seconds = 0.0
        self._rows_per_step = rows_per_step
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        # Segments that nobody listens to yet leave these places to those who come next.
        self._kept = min(slots - 1, max(1, slots // 4))
        self._burden = Burden(patch_seconds)
        self._free = list(range(slots))  # a heap: low slots first, which keeps the batch dense
        self._streams: dict[Stream, None] = {}  # in order of arrival

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams that are not ended, in order of arrival."""
        return tuple(self._streams)

    def join(self, stream: Stream) -> None:
        """Take a new stream, whose jobs wait.  Raises Overloaded."""
        self.check_room()
        self._streams[stream] = None
        self.waiting += len(stream.jobs)

    def check_room(self) -> None:
        """Raise Overloaded where a newcomer would wait too long, or with too many."""
        queued = len(self._waiting_heads()) - len(self._free)
        seconds = self.predicted_wait()
        if queued >= self._max_waiting or seconds > self._max_wait:
            raise Overloaded(
                f"The engine is busy: {max(0, queued)} others wait as well. "
                f"Try again in {max(1, math.ceil(seconds))} s.",
                retry_after=math.ceil(seconds),
            )

    def predicted_wait(self) -> float:
        """Return in how many seconds a newcomer would get a slot; 0 until a turn was measured."""
        before = len(self._waiting_heads()) - len(self._free)
        if before < 0:
            return 0.0
        jobs = [row.job for row in self.live.values()]
        rounds, place = divmod(before, len(jobs)) if jobs else (0, 0)
        patches = sorted(job.patches_left for job in jobs)[place] if jobs else 0
        patches += rounds * max((job.budget.likely for job in jobs), default=0)
        # A row is stepped in one of so many turns.
        every = math.ceil(len(jobs) / self._rows_per_step)
        return patches * every * self.turn_seconds

    def measured(self, seconds: float) -> None:
        """Note how long a turn of the loop took, with its step."""
        self.turn_seconds = smoothed(self.turn_seconds, seconds)

    def stepped(self, rows: int, seconds: float) -> None:
        """Note how long a step of so many rows took."""
        self._burden.stepped(rows, seconds)

    def admit(self, now: float) -> list[tuple[int, Row]]:
        """Give free slots to waiting jobs; return what joins the batch now.

        Those that a listener waits for come first.  Others join one at a time and alone: reading
        their text would hold up the sound of the rest.  They wait while there would be more rows
        than can be carried, and somebody has little sound in hand.
        """
        if not self.waiting:
            return []
        heads = self._waiting_heads()
        heads.sort(key=lambda stream: stream.dry_at)
        if heads or len(self._free) <= self._kept:
            return [self._place(s, s.head) for s in heads[: len(self._free)]]
        if self._pressing(len(self.live) + 1, now):
            return []
        ready = [
            (due, number, stream, job)
            for number, stream in enumerate(self._streams)
            for job, due in _first(1, State.WAITING, stream)
            if job.after is None or job.after.state is State.DONE
        ]
        if not ready:
            return []
        _, _, stream, job = min(ready, key=lambda entry: entry[:2])
        return [self._place(stream, job)]

    def rows(self, now: float) -> list[int]:
        """Return the slots to step now, in order: all, or the ``rows_per_step`` due first.

        A job that has ended is not stepped; it leaves when its sound has come.  Where a step of all
        takes longer than it is heard, and one of those who need it soon does not, it is theirs:
        segments that are heard later are not to interrupt the one that is heard now.
        """
        going = [slot for slot, row in self.live.items() if not row.job.ended]
        going = self._pressing(len(going), now) or going
        if len(going) > self._rows_per_step:
            dues = self._dues()
            going.sort(key=lambda slot: dues[self.live[slot].job])
        return sorted(going[: self._rows_per_step])

    def _pressing(self, rows: int, now: float) -> list[int]:
        """Return the slots that are to be stepped in the place of so many rows, if any."""
        if self._burden.bears(rows):
            return []
        dues = self._dues()
        urgent = [
            slot
            for slot, row in self.live.items()
            if not row.job.ended and dues[row.job] < now + SLACK
        ]
        return urgent if self._burden.bears(len(urgent)) else []

    def _dues(self) -> dict[Job, float]:
        """Return when each live job's next patch is needed."""
        rows = Counter(row.stream for row in self.live.values())
        return dict(
            entry for stream, count in rows.items() for entry in _first(count, State.LIVE, stream)
        )

    def vacate(self, slot: int, state: State) -> None:
        """Take a job out of its slot: it is DONE, or WAITING to be made again."""
        job = self.live.pop(slot).job
        heapq.heappush(self._free, slot)
        self._move(job, state)

    def leave(self, stream: Stream, state: State) -> list[int]:
        """Drop a stream; jobs that are not done end as ``state``.  Return the slots they had."""
        slots = [slot for slot, row in self.live.items() if row.stream is stream]
        for slot in slots:
            self.vacate(slot, state)
        for job in stream.jobs:
            if job.state is State.WAITING:
                self._move(job, state)
        self._streams.pop(stream, None)
        return slots

    def _move(self, job: Job, state: State) -> None:
        self.waiting += (state is State.WAITING) - (job.state is State.WAITING)
        job.state = state
        if state not in (State.WAITING, State.LIVE):
            self.ended[state] += 1

    def _place(self, stream: Stream, job: Job) -> tuple[int, Row]:
        slot = heapq.heappop(self._free)
        row = self.live[slot] = Row(stream, job)
        self._move(job, State.LIVE)
        return slot, row

    def _waiting_heads(self) -> list[Stream]:
        """Return the streams whose listener waits for a job that has no slot."""
        return [stream for stream in self._streams if stream.head.state is State.WAITING]


def _first(count: int, state: State, stream: Stream) -> Iterator[tuple[Job, float]]:
    """Return the first jobs of a stream in a state, and when they are due: none after is sooner."""
    return islice(((job, due) for job, due in stream.dues() if job.state is state), count)


def smoothed(old: float, new: float) -> float:
    """Return the moving average of a measurement; ``old`` is 0 before the first."""
    return old + NEWEST * (new - old) if old else new
