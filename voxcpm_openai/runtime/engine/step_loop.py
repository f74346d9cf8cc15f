"""The steps of the engine's loop: rows are admitted, stepped, and their audio is delivered.

Belongs to the engine's thread, which holds no lock while the runner works.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager

from voxcpm_openai.errors import RequestError, Unavailable
from voxcpm_openai.runtime.engine.job import JobState
from voxcpm_openai.runtime.engine.runner_protocol import Runner
from voxcpm_openai.runtime.engine.scheduler import BatchRow, InFlightStep, Scheduler
from voxcpm_openai.runtime.engine.stream import BatchedStream
from voxcpm_openai.runtime.engine.timing import LaunchTimer
from voxcpm_openai.runtime.errors import DeviceError

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.002
"""How often the engine polls the device while it holds back a launch."""


class StepLoop:
    """What the engine's thread does with the rows, again and again.

    An asynchronous device always has the next step queued.
    """

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        lock: threading.Condition,
        clock: Callable[[], float],
        ready: Callable[[], bool],
    ) -> None:
        """``lock`` guards the scheduler; ``ready``, called under it: whether the engine goes on."""
        self._runner = runner
        self._scheduler = scheduler
        self._work = lock
        self._clock = clock
        self._ready = ready
        self.launch_timer = LaunchTimer()
        self.in_flight: InFlightStep | None = None

    def iterate(self) -> None:
        """Remove cancelled streams, admit, launch the rows due first, deliver the previous step.

        The previous step's audio is delivered while the device executes the next one.
        """
        begun = self._clock()
        self._hold_launch()
        with self._work:
            cancelled = [stream for stream in self._scheduler.streams if stream.closed]
        self.release(self.leave(cancelled, JobState.CANCELLED))
        self._admit()
        self._read()
        previous, self.in_flight = self.in_flight, self._launch()
        if previous is not None:
            self._deliver(previous)
        if self.in_flight is None:
            return
        if not self._await_stop_flags(self.in_flight):
            self.in_flight = None
        elif self.in_flight.step.done:
            self._deliver(self.in_flight)
            self.in_flight = None
        with self._work:
            self._scheduler.record_iteration(self._clock() - begun)

    def _hold_launch(self) -> None:
        """Wait until shortly before the step in flight ends, so that new requests join the next."""
        if self.in_flight is None:
            return
        moment = self.launch_timer.next_launch(self.in_flight.launched)
        with self._work:
            while (left := moment - self._clock()) > 0:
                if not self._ready() or self.in_flight.step.done:
                    return
                self._work.wait(min(left, POLL_SECONDS))

    def _admit(self) -> None:
        with self._work:
            admitted = self._scheduler.admit(self._clock())
        for slot, row in admitted:
            with self._failing([row], "a job could not be admitted"):
                row.job.reading = self._runner.admit(slot, row.job)

    def _read(self) -> None:
        """Read the prompts that listeners wait for, or a part of one that is needed later."""
        with self._work:
            rows = self._scheduler.reading(self._clock())
        for slot, row, whole in rows:
            begun = self._clock()
            with self._failing([row], "a prompt could not be read"):
                row.job.reading = not self._runner.read(slot, whole=whole)
            if not whole:
                with self._work:
                    self._scheduler.record_read(self._clock() - begun)

    def _launch(self) -> InFlightStep | None:
        """Launch a step if there are rows for it."""
        now = self._clock()
        with self._work:
            rows = {slot: self._scheduler.live[slot] for slot in self._scheduler.rows(now)}
        if not rows:
            return None
        with self._failing(rows.values(), f"a step of {len(rows)} rows failed"):
            step = self._runner.launch(list(rows))
            return InFlightStep(step, {slot: rows[slot] for slot in step.slots}, now)
        return None

    def _await_stop_flags(self, in_flight: InFlightStep) -> bool:
        """Wait for the stop flags, so that the next step can be launched.

        Return whether the step's audio will follow.
        """
        stop_flags = None
        with self._failing(in_flight.rows.values(), "a step failed"):
            stop_flags = in_flight.step.stop_flags()
        if stop_flags is None:
            return False
        with self._work:
            for (slot, row), stopped in zip(in_flight.rows.items(), stop_flags, strict=True):
                if self._is_live(slot, row):
                    row.job.count_patch(stopped)
        return True

    def _deliver(self, in_flight: InFlightStep) -> None:
        """Deliver the audio of a step; then empty the slots of jobs that ended."""
        audio = None
        with self._failing(in_flight.rows.values(), "a step gave no audio"):
            audio = in_flight.step.samples()
        if audio is None:
            return
        now = self._clock()
        ended: dict[int, BatchRow] = {}
        streams: dict[BatchedStream, None] = {}
        with self._work:
            seconds = self.launch_timer.step_done(in_flight.launched, now)
            self._scheduler.record_step(len(in_flight.rows), seconds)
            for (slot, row), samples in zip(in_flight.rows.items(), audio, strict=True):
                if not self._is_live(slot, row):
                    continue
                state = row.job.append_audio(samples)
                if state is not JobState.LIVE:
                    self._scheduler.vacate(slot, state)
                    ended[slot] = row
                streams[row.stream] = None
        for row in ended.values():
            self._continue_from(row)  # a listener may ask for it at the end of the audio
        with self._work:
            for stream in streams:
                stream.deliver(now)
                if stream.ended:
                    self._scheduler.leave(stream, JobState.DONE)
        self.release(ended)

    def _is_live(self, slot: int, row: BatchRow) -> bool:
        """Return whether the row is still that of the launch: a retried job has another one."""
        return self._scheduler.live.get(slot) is row

    def _continue_from(self, row: BatchRow) -> None:
        """Give the jobs and streams that continue from a done job what the runner made of it."""
        if row.job.leads and row.job.state is JobState.DONE:
            with self._failing([row], "a job gave no continuation"):
                row.stream.set_prompt(self._runner.continuation_from(row.job))

    @contextmanager
    def _failing(self, rows: Iterable[BatchRow], message: str) -> Iterator[None]:
        """Fail only these rows' streams if the block raises; a DeviceError is raised again."""
        try:
            yield
        except DeviceError:
            raise
        except Exception as error:  # whatever it is, the other streams go on
            logger.exception(message)
            self._fail({row.stream for row in rows}, error)

    def _fail(self, streams: Set[BatchedStream], error: Exception) -> None:
        """End streams with an error, and empty their slots."""
        for stream in streams:
            stream.fail(
                error
                if isinstance(error, RequestError)
                else Unavailable("The engine failed at this text; the server's log says why.")
            )
        self.release(self.leave(streams, JobState.FAILED))

    def leave(self, streams: Iterable[BatchedStream], state: JobState) -> list[int]:
        """Remove streams from the scheduler; return the slots to be released."""
        with self._work:
            return [slot for stream in streams for slot in self._scheduler.leave(stream, state)]

    def release(self, slots: Iterable[int]) -> None:
        """Empty the runner's slots."""
        for slot in slots:
            self._runner.release(slot)
