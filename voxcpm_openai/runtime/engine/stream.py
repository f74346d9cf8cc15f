"""A stream: the audio of one utterance, whose jobs are delivered in order but run in parallel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Self

import numpy as np

from voxcpm_openai.contracts import Chunk, Usage
from voxcpm_openai.playout import PlayoutClock
from voxcpm_openai.runtime.engine.job import Job, JobState

MAX_JOINED_SECONDS = 0.6
"""Chunks that wait are joined until they hold this many seconds of audio."""

End = Exception | type[StopIteration]
"""What ``next()`` raises after the last chunk."""


@dataclass(frozen=True, slots=True)
class StreamContinuation:
    """What a later stream of the same text gets of an earlier one: ``Utterance.continuation``.

    ``prompt``: what the runner made of the text's first segment, where the voice has no clip (a
    ``device.runner.Continuation``, which tells its size); else None.  ``segments``: the number of
    segments so far, so that the seeds of the next ones are those that one request would have.  It
    refers to no job, stream or slot.
    """

    prompt: object = None
    segments: int = 0


class BatchedStream:
    """Implements ``contracts.ContinuingStream``.

    The engine's thread puts chunks in; the request's thread takes them out.  ``clock`` tells, on
    the engine's clock, when the listener runs out of audio.
    """

    def __init__(self, jobs: Sequence[Job], rate: int, arrived: float, tempo: float = 1.0) -> None:
        """``jobs``: one per segment, at least one; ``rate`` in Hz; ``arrived``: the request's time.

        ``tempo``: ``Utterance.tempo``.
        """
        self.jobs = tuple(jobs)
        self.clock = PlayoutClock(arrived, tempo)
        self._prompt = self.jobs[0].continuation
        self._rate = rate
        self._current = 0  # the index of the job that is being delivered
        self._closed = False
        self._queue: SimpleQueue[Chunk | End] = SimpleQueue()  # all that both threads change
        self._next: Chunk | End | None = None  # taken out and not yet returned; an end stays

    # For the listener

    @property
    def usage(self) -> Usage:
        """Tokens of text, and patches made; failed attempts are not counted."""
        tokens = sum(job.prepared.tokens for job in self.jobs)
        return Usage(max(1, tokens), max(1, sum(job.patches for job in self.jobs)))

    @property
    def continuation(self) -> StreamContinuation | None:
        """What a later stream goes on from; None before the first segment was done."""
        first = self.jobs[0]
        if first.state is not JobState.DONE or (first.leads and self._prompt is None):
            return None
        return StreamContinuation(self._prompt, self.jobs[-1].index + 1)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        """Wait for the next chunk.  Chunks before an error are returned before it is raised.

        Chunks of a segment that wait are joined: fewer chunks mean fewer writes.
        """
        item = self._next or self._queue.get()
        if isinstance(item, Chunk):
            self._next = None
            if self._closed:
                raise StopIteration
            return self._joined(item)
        self._next = item
        raise StopIteration if self._closed else item

    def _joined(self, first: Chunk) -> Chunk:
        parts, room = [first.samples], MAX_JOINED_SECONDS * self._rate - len(first.samples)
        with suppress(Empty):
            while room > 0:
                self._next = self._queue.get_nowait()
                if not isinstance(self._next, Chunk) or self._next.segment != first.segment:
                    break
                parts.append(self._next.samples)
                room -= len(self._next.samples)
                self._next = None
        return first if len(parts) == 1 else Chunk(np.concatenate(parts), first.segment)

    def close(self) -> None:
        """Cancel.  The jobs leave the batch before its next step; waiting chunks are dropped."""
        self._closed = True
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(StopIteration)  # wakes a waiting `next`

    # For the engine's thread

    @property
    def closed(self) -> bool:
        """Whether the listener has closed the stream."""
        return self._closed

    @property
    def ended(self) -> bool:
        """Whether all audio has been delivered."""
        return self._current == len(self.jobs)

    @property
    def current(self) -> Job:
        """The job that is being delivered, or waited for.  Invalid once the stream has ended."""
        return self.jobs[self._current]

    def deadlines(self) -> Iterator[tuple[Job, float]]:
        """Yield each job that is not yet delivered, and when its next patch is needed.

        That is when the listener has played what was delivered, what is expected of the jobs
        before, and what is buffered of the job itself.
        """
        deadline = self.clock.deadline
        for job in islice(self.jobs, self._current, None):
            yield job, deadline + self.clock.playing_time(job.buffered_seconds)
            deadline += self.clock.playing_time(job.remaining_seconds)

    def set_prompt(self, prompt: object) -> None:
        """Give the later jobs, and later streams, what the runner made of the first job."""
        self._prompt = prompt
        for job in self.jobs:
            if job.after is not None:
                job.continuation = prompt

    def deliver(self, now: float) -> None:
        """Deliver everything that is ready, in order; ``now`` on the engine's clock."""
        while not self.ended:
            job = self.current
            for samples in job.pop_audio():
                self.clock.deliver(len(samples) / self._rate, now)
                if not self._closed:
                    self._queue.put(Chunk(samples, self._current))
            if job.state is not JobState.DONE:
                return
            self._current += 1
        self._queue.put(StopIteration)

    def fail(self, error: Exception) -> None:
        """End with an error, which ``next()`` raises.  The first end stays."""
        self._queue.put(error)
