"""The batched engine: one thread steps all rows together; requests only submit and receive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from voxcpm_openai.contracts import (
    Capabilities,
    Engine,
    EngineState,
    EngineStatus,
    Utterance,
    Voice,
)
from voxcpm_openai.errors import EngineFailed, RequestError, Unavailable
from voxcpm_openai.runtime.engine.job import JobState
from voxcpm_openai.runtime.engine.prepare import prepare_request
from voxcpm_openai.runtime.engine.runner_protocol import Runner
from voxcpm_openai.runtime.engine.scheduler import Scheduler
from voxcpm_openai.runtime.engine.step_loop import StepLoop
from voxcpm_openai.runtime.engine.stream import BatchedStream
from voxcpm_openai.runtime.engine.voice_queue import VoiceQueue
from voxcpm_openai.runtime.errors import DeviceError

logger = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
"""How long no stream is there before each part of the work that the runner put off."""


class BatchedEngine(Engine):
    """Implements ``contracts.Engine`` with any ``Runner``.

    One lock guards the scheduler and the state; the runner belongs to the engine's thread, which
    holds no lock while it works.  The loop (``StepLoop``): remove cancelled streams, admit new
    ones, launch a step, deliver the audio of the previous one.  Voices are encoded between steps.
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
        self._work = threading.Condition()
        self._voices = VoiceQueue(self._work, clock, self._check_ready)
        self._steps = StepLoop(
            runner, self._scheduler, self._work, clock, lambda: self._state == "ready"
        )
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
        with self._closing_if_lost():
            self._voices.complete(self._runner.voice_work(utterance.voice), wanted=True)
            jobs = prepare_request(utterance, self._runner)
        stream = BatchedStream(jobs, self._runner.sample_rate, arrived, utterance.tempo)
        with self._work:
            self._check_ready()
            self._scheduler.join(stream)
            self._work.notify_all()
        return stream

    def prepare_voice(self, voice: Voice) -> None:
        """Encode a voice's clip while listeners have time; return when that is done.

        Raises as ``synthesize`` does.
        """
        with self._closing_if_lost():
            self._voices.complete(self._runner.voice_work(voice), wanted=False)

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
                    "seconds_per_patch": self._steps.launch_timer.step_seconds,
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

    @contextmanager
    def _closing_if_lost(self) -> Iterator[None]:
        """Close the engine, and raise why it takes no request, if the device fails."""
        try:
            yield
        except DeviceError as error:
            logger.exception("the device failed while a request was prepared")
            self._close("failed")
            raise self._refusal() from error

    # In any thread

    def _close(self, state: EngineState) -> None:
        """End all streams with an error and refuse new ones.  The first state stays."""
        with self._work:
            if self._state == "ready":
                self._state = state
            for stream in self._scheduler.streams:
                stream.fail(self._refusal())
            self._voices.fail(self._refusal())
            self._work.notify_all()

    # In the engine's thread

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._steps.iterate()
                self._voices.run_parts(self._scheduler.spare_seconds)
        except Exception:  # whatever it is, no request may wait for ever
            logger.exception("the engine has failed")
            self._close("failed")
        with self._work:
            stopped, left = self._state == "stopped", self._scheduler.streams
        slots = self._steps.leave(left, JobState.FAILED)
        if stopped:  # a runner that failed must not be used again
            self._steps.release(slots)

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
        busy = self._scheduler.streams or self._steps.in_flight or self._voices.pending
        return self._state != "ready" or bool(busy)
