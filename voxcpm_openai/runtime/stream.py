"""A stream: the sound of one utterance, its jobs heard in order while they are made together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Self

import numpy as np

from voxcpm_openai.contracts import Chunk, Usage
from voxcpm_openai.runtime.job import Job, State

TOGETHER = 0.6
"""Seconds of sound after which no more is joined into one chunk."""

End = Exception | type[StopIteration]
"""What ``next()`` raises at last."""


class Stream:
    """Fulfils ``contracts.AudioStream``: the engine's thread puts in, a request's thread takes out.

    ``dry_at`` is the moment, on the engine's clock, when the listener has heard all that was
    handed out; before the first sound, when the request came in.
    """

    def __init__(self, jobs: Sequence[Job], rate: int, arrived: float) -> None:
        """``jobs``: one a segment, at least one; ``rate`` in Hz; ``arrived``: when it came in."""
        self.jobs = tuple(jobs)
        self.dry_at = arrived
        self._rate = rate
        self._turn = 0  # the index of the job that is being heard
        self._closed = False
        self._way: SimpleQueue[Chunk | End] = SimpleQueue()  # all that both threads change
        self._next: Chunk | End | None = None  # taken out and not yet handed on; an end stays

    # For the listener

    @property
    def usage(self) -> Usage:
        """Tokens of text, and patches made; attempts that nobody heard do not count."""
        tokens = sum(job.plan.tokens for job in self.jobs)
        return Usage(max(1, tokens), max(1, sum(job.patches for job in self.jobs)))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        """Wait for the next chunk; what came before an error is heard before it is raised.

        A listener who comes late gets together what waits of a segment: fewer turns, fewer writes.
        """
        came = self._next or self._way.get()
        if isinstance(came, Chunk):
            self._next = None
            if self._closed:
                raise StopIteration
            return self._joined(came)
        self._next = came
        raise StopIteration if self._closed else came

    def _joined(self, first: Chunk) -> Chunk:
        pieces, room = [first.samples], TOGETHER * self._rate - len(first.samples)
        with suppress(Empty):
            while room > 0:
                self._next = self._way.get_nowait()
                if not isinstance(self._next, Chunk) or self._next.segment != first.segment:
                    break
                pieces.append(self._next.samples)
                room -= len(self._next.samples)
                self._next = None
        return first if len(pieces) == 1 else Chunk(np.concatenate(pieces), first.segment)

    def close(self) -> None:
        """Cancel; the jobs leave the batch before its next step, and what is unheard is dropped."""
        self._closed = True
        with suppress(Empty):
            while True:
                self._way.get_nowait()
        self._way.put(StopIteration)  # which wakes who waits

    # For the engine's thread

    @property
    def closed(self) -> bool:
        """Whether the listener has left."""
        return self._closed

    @property
    def ended(self) -> bool:
        """Whether everything has been handed out."""
        return self._turn == len(self.jobs)

    @property
    def head(self) -> Job:
        """The job that is being heard, or waited for.  Not to be asked for when ``ended``."""
        return self.jobs[self._turn]

    def dues(self) -> Iterator[tuple[Job, float]]:
        """Yield each job that is still to be heard, and when its next patch is needed.

        That is when the listener has heard what was handed out, all that is likely to come before
        the job, and what is ready of the job itself.
        """
        due = self.dry_at
        for job in islice(self.jobs, self._turn, None):
            yield job, due + job.held
            due += job.left

    def flow(self, now: float) -> None:
        """Hand out all that it is time for; ``now`` on the engine's clock."""
        while not self.ended:
            job = self.head
            for samples in job.take():
                # A listener who ran dry plays on from now.
                self.dry_at = max(self.dry_at, now) + len(samples) / self._rate
                if not self._closed:
                    self._way.put(Chunk(samples, job.index))
            if job.state is not State.DONE:
                return
            self._turn += 1
        self._way.put(StopIteration)

    def fail(self, error: Exception) -> None:
        """End with an error, which ``next()`` raises.  The first one stays."""
        self._way.put(error)
