"""The batched engine: one thread steps all rows together; requests only submit and receive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Set
from contextlib import contextmanager

from voxcpm_openai.contracts import (
    Capabilities,
    Engine,
    EngineState,
    EngineStatus,
    Utterance,
)
from voxcpm_openai.errors import EngineFailed, RequestError, Unavailable
from voxcpm_openai.runtime.engine.job import JobState
from voxcpm_openai.runtime.engine.prepare import prepare_request
from voxcpm_openai.runtime.engine.runner_protocol import Runner
from voxcpm_openai.runtime.engine.scheduler import BatchRow, InFlightStep, Scheduler
from voxcpm_openai.runtime.engine.stream import BatchedStream
from voxcpm_openai.runtime.engine.timing import LaunchTimer
from voxcpm_openai.runtime.errors import DeviceError

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.002
"""How often the engine polls the device while it holds back a launch."""
IDLE_SECONDS = 1.0
"""How long no stream is there before each part of the work that the runner put off."""


class BatchedEngine(Engine):
    """Implements ``contracts.Engine`` with any ``Runner``.

    One lock guards the scheduler and the state; the runner belongs to the engine's thread, which
    holds no lock while it works.  The loop: remove cancelled streams, admit new ones, launch a
    step, deliver the audio of the previous one.  So an asynchronous device always has the next
    step queued.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        rows_per_step: int,
        max_waiting: int,
        max_wait: float,
        params: Collection[str] = frozenset({"seed", "cfg_value", "inference_steps"}),
        languages: tuple[str, ...] = (),
        needs_transcript: bool = False,
        voice_design: bool = False,
        summary: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.  See ``Scheduler`` for the bounds and ``Capabilities`` for the rest."""
        self.capabilities = Capabilities(
            sample_rate=runner.sample_rate,
            languages=languages,
            params=params,
            cloning=True,
            needs_transcript=needs_transcript,
            voice_design=voice_design,
            continues=True,
        )
        self._runner = runner
        self._summary = summary
        self._clock = clock
        self._scheduler = Scheduler(
            runner.slots,
            rows_per_step=rows_per_step,
            max_waiting=max_waiting,
            max_wait=max_wait,
            patch_seconds=runner.patch_seconds,
        )
        self._state: EngineState = "ready"
        self._launch_timer = LaunchTimer()
        self._in_flight: InFlightStep | None = None
        self._work = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="voxcpm-engine", daemon=True)
        self._thread.start()

    def synthesize(self, utterance: Utterance) -> BatchedStream:
        """Start a stream.

        Raises Overloaded, EngineFailed, Unavailable once stopped, and RequestError for what the
        runner refuses.
        """
        arrived = self._clock()
        with self._work:
            self._check_ready()
            self._scheduler.check_room()  # before the text is tokenized and the clip encoded
        try:
            jobs = prepare_request(utterance, self._runner)
        except DeviceError as error:
            logger.exception("the device failed while a request was prepared")
            self._close("failed")
            raise self._refusal() from error
        stream = BatchedStream(jobs, self._runner.sample_rate, arrived, utterance.tempo)
        with self._work:
            self._check_ready()
            self._scheduler.join(stream)
            self._work.notify_all()
        return stream

    def status(self) -> EngineStatus:
        """Return the state of the engine; ``running``, ``waiting`` and the rest count segments.

        ``details``: ``seconds_per_patch`` is the duration of a step on the device;
        ``steps_per_second`` and ``real_time_factor`` are from one step to the next; ``runner`` is
        the runner's own.
        """
        with self._work:
            seconds, ended = self._scheduler.iteration_seconds, self._scheduler.ended
            return EngineStatus(
                state=self._state,
                streams=len(self._scheduler.streams),
                running=len(self._scheduler.live),
                waiting=self._scheduler.waiting,
                completed=ended[JobState.DONE],
                failed=ended[JobState.FAILED],
                cancelled=ended[JobState.CANCELLED],
                summary=self._summary,
                details={
                    "steps_per_second": 1 / seconds if seconds else 0.0,
                    "seconds_per_patch": self._launch_timer.step_seconds,
                    "real_time_factor": seconds / self._runner.patch_seconds,
                    "runner": self._runner.status(),
                },
            )

    def stop(self) -> None:
        """End all streams with Unavailable, and the thread after its current step."""
        self._close("stopped")
        self._thread.join()

    # In the request's thread

    def _check_ready(self) -> None:
        if self._state != "ready":
            raise self._refusal()

    def _refusal(self) -> RequestError:
        """Return a new error that says why no request is accepted."""
        if self._state == "failed":
            return EngineFailed("The engine has failed; only a restart helps.", retry_after=60)
        return Unavailable("The engine has stopped.")

    # In any thread

    def _close(self, state: EngineState) -> None:
        """End all streams with an error and refuse new ones.  The first state stays."""
        with self._work:
            if self._state == "ready":
                self._state = state
            for stream in self._scheduler.streams:
                stream.fail(self._refusal())
            self._work.notify_all()

    # In the engine's thread

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._iterate()
        except Exception:  # whatever it is, no request may wait for ever
            logger.exception("the engine has failed")
            self._close("failed")
        with self._work:
            stopped, left = self._state == "stopped", self._scheduler.streams
        slots = self._leave(left, JobState.FAILED)
        if stopped:  # a runner that failed must not be used again
            self._release(slots)

    def _wait_for_work(self) -> bool:
        """Wait for a stream; return False when the engine is to end.

        The runner does the work that was put off meanwhile, part by part.
        """
        more = True
        while True:
            with self._work:
                if self._work.wait_for(self._has_work, IDLE_SECONDS if more else None):
                    return self._state == "ready"
            more = self._runner.work_idle()

    def _has_work(self) -> bool:
        return self._state != "ready" or bool(self._scheduler.streams or self._in_flight)

    def _iterate(self) -> None:
        """Remove cancelled streams, admit, launch the rows due first, deliver the previous step.

        The previous step's audio is delivered while the device executes the next one.
        """
        begun = self._clock()
        self._hold_launch()
        with self._work:
            cancelled = [stream for stream in self._scheduler.streams if stream.closed]
        self._release(self._leave(cancelled, JobState.CANCELLED))
        self._admit()
        previous, self._in_flight = self._in_flight, self._launch()
        if previous is not None:
            self._deliver(previous)
        if self._in_flight is None:
            return
        if not self._await_stop_flags(self._in_flight):
            self._in_flight = None
        elif self._in_flight.step.done:
            self._deliver(self._in_flight)
            self._in_flight = None
        with self._work:
            self._scheduler.record_iteration(self._clock() - begun)

    def _hold_launch(self) -> None:
        """Wait until shortly before the step in flight ends, so that new requests join the next."""
        if self._in_flight is None:
            return
        moment = self._launch_timer.next_launch(self._in_flight.launched)
        with self._work:
            while (left := moment - self._clock()) > 0:
                if self._state != "ready" or self._in_flight.step.done:
                    return
                self._work.wait(min(left, POLL_SECONDS))

    def _admit(self) -> None:
        with self._work:
            admitted = self._scheduler.admit(self._clock())
        for slot, row in admitted:
            with self._failing([row], "a job could not be admitted"):
                self._runner.admit(slot, row.job)

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
            seconds = self._launch_timer.step_done(in_flight.launched, now)
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
        self._release(ended)

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
        except Exception as error:
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
        self._release(self._leave(streams, JobState.FAILED))

    def _leave(self, streams: Iterable[BatchedStream], state: JobState) -> list[int]:
        """Remove streams from the scheduler; return the slots to be released."""
        with self._work:
            return [slot for stream in streams for slot in self._scheduler.leave(stream, state)]

    def _release(self, slots: Iterable[int]) -> None:
        for slot in slots:
            self._runner.release(slot)
