"""A stream: the sound of one utterance, its jobs heard in order while they are made together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Self

from voxcpm_openai.contracts import Chunk, Usage
from voxcpm_openai.runtime.job import Job, State

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
        self._end: End | None = None  # the first that came this way

    # For the listener

    @property
    def usage(self) -> Usage:
        """Tokens of text, and patches made; attempts that nobody heard do not count."""
        tokens = sum(job.plan.tokens for job in self.jobs)
        return Usage(max(1, tokens), max(1, sum(job.patches for job in self.jobs)))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        """Wait for the next chunk; what came before an error is heard before it is raised."""
        came = self._end or self._way.get()
        if isinstance(came, Chunk):
            if self._closed:
                raise StopIteration
            return came
        self._end = came
        raise StopIteration if self._closed else came

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
