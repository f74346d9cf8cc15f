"""The batched engine: one thread steps all rows together; requests only put in and take out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass

from voxcpm_openai.contracts import AudioStream, Utterance
from voxcpm_openai.errors import EngineFailed, RequestError, Unavailable
from voxcpm_openai.runtime.job import State
from voxcpm_openai.runtime.pace import Pace
from voxcpm_openai.runtime.reading import read
from voxcpm_openai.runtime.runner_protocol import DeviceError, Runner, Step
from voxcpm_openai.runtime.scheduler import Row, Scheduler
from voxcpm_openai.runtime.stream import Stream

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.002
"""How often the engine looks, while it waits for newcomers, whether the device is done sooner."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A step under way, and for whom: ``rows`` by slot.  Who has left meanwhile gets nothing."""

    step: Step
    rows: Mapping[int, Row]
    launched: float


class BatchedEngine:
    """Fulfils ``contracts.Engine`` with any ``Runner``.

    One lock guards the scheduler and the state; the runner belongs to the engine's thread, which
    holds no lock while it works.  The loop: drop those who left, admit, launch a step, hand out the
    sound of the one before.  So a device that works by itself always has the next step to do.
    """

    clones = True
    native_speed = (1.0, 1.0)

    def __init__(
        self,
        runner: Runner,
        *,
        rows_per_step: int,
        max_waiting: int,
        max_wait: float,
        honours: frozenset[str] = frozenset({"seed", "cfg_value", "inference_steps"}),
        languages: tuple[str, ...] = (),
        needs_transcript: bool = False,
        designs: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.  ``Scheduler`` says what the bounds mean."""
        self.honours = honours
        self.languages = languages
        self.needs_transcript = needs_transcript
        self.designs = designs
        self._runner = runner
        self._clock = clock
        self._scheduler = Scheduler(
            runner.slots,
            rows_per_step=rows_per_step,
            max_waiting=max_waiting,
            max_wait=max_wait,
            patch_seconds=runner.patch_seconds,
        )
        self._state = "ready"
        self._pace = Pace()
        self._flight: Flight | None = None  # whose sound is still to come
        self._work = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="voxcpm-engine", daemon=True)
        self._thread.start()

    @property
    def sample_rate(self) -> int:
        """The rate of the chunks, in Hz."""
        return self._runner.sample_rate

    def speak(self, utterance: Utterance) -> AudioStream:
        """Begin to speak.  Raises Overloaded, EngineFailed, Unavailable once stopped, and
        RequestError for what the runner refuses.
        """
        arrived = self._clock()
        with self._work:
            self._check_open()
            self._scheduler.check_room()  # before the text and the clip are read
        try:
            stream = Stream(read(utterance, self._runner), self.sample_rate, arrived)
        except DeviceError as error:
            logger.exception("the device failed while a request was read")
            self._close("failed")
            raise self._refusal() from error
        with self._work:
            self._check_open()
            self._scheduler.join(stream)
            self._work.notify_all()
        return stream

    def status(self) -> Mapping[str, object]:
        """Return a look inside.

        ``state`` (``ready``, ``failed`` or ``stopped``), the streams, the jobs that are live, wait,
        and have ended, and what one row sees: ``seconds_per_patch`` is how long the device is at a
        step, ``steps_per_second`` and ``real_time_factor`` count from one step to the
        next.
        """
        with self._work:
            turn, ended = self._scheduler.turn_seconds, self._scheduler.ended
            look: dict[str, object] = {
                "state": self._state,
                "streams": len(self._scheduler.streams),
                "live": len(self._scheduler.live),
                "waiting": self._scheduler.waiting,
                "done": ended[State.DONE],
                "failed": ended[State.FAILED],
                "cancelled": ended[State.CANCELLED],
                "steps_per_second": 1 / turn if turn else 0.0,
                "seconds_per_patch": self._pace.step_seconds,
                "real_time_factor": turn / self._runner.patch_seconds,
            }
        return {**look, "runner": self._runner.status()}

    def stop(self) -> None:
        """End all streams with Unavailable, and the thread after the step that it is in."""
        self._close("stopped")
        self._thread.join()

    # In the request's thread

    def _check_open(self) -> None:
        if self._state != "ready":
            raise self._refusal()

    def _refusal(self) -> RequestError:
        """Return why nothing more is spoken: a new one for each that it is raised for."""
        if self._state == "failed":
            return EngineFailed("The engine has failed; only a restart helps.", retry_after=60)
        return Unavailable("The engine has stopped.")

    # In any thread

    def _close(self, state: str) -> None:
        """End all streams with an error, and let no new one in.  The first state stays."""
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
                self._turn()
        except Exception:  # whatever it is, nobody may wait for ever
            logger.exception("the engine has failed")
            self._close("failed")
        with self._work:
            stopped, left = self._state == "stopped", self._scheduler.streams
        slots = self._leave(left, State.FAILED)
        if stopped:  # a runner that failed is not to be touched again
            self._release(slots)

    def _wait_for_work(self) -> bool:
        """Wait until somebody wants to be heard; return False when the engine has ended."""
        with self._work:
            self._work.wait_for(
                lambda: self._state != "ready" or self._scheduler.streams or self._flight
            )
            return self._state == "ready"

    def _turn(self) -> None:
        """Drop those who left, admit, launch the rows that are due first, hand out.

        What was launched before is handed out while the device is at the next step.
        """
        begun = self._clock()
        self._wait_for_newcomers()
        with self._work:
            gone = [stream for stream in self._scheduler.streams if stream.closed]
        self._release(self._leave(gone, State.CANCELLED))
        self._admit()
        before, self._flight = self._flight, self._launch()
        if before is not None:
            self._land(before)
        if self._flight is None:
            return
        if not self._settle(self._flight):
            self._flight = None
        elif self._flight.step.done:
            self._land(self._flight)
            self._flight = None
        with self._work:
            self._scheduler.measured(self._clock() - begun)

    def _wait_for_newcomers(self) -> None:
        """While the device is at a step, leave the next one open until shortly before its end."""
        if self._flight is None:
            return
        moment = self._pace.next_launch(self._flight.launched)
        with self._work:
            while (left := moment - self._clock()) > 0:
                if self._state != "ready" or self._flight.step.done:
                    return
                self._work.wait(min(left, LOOK_SECONDS))

    def _admit(self) -> None:
        with self._work:
            joining = self._scheduler.admit(self._clock())
        for slot, row in joining:
            with self._failing([row], "a job could not be admitted"):
                self._runner.admit(slot, row.job)

    def _launch(self) -> Flight | None:
        """Begin a step, if there is a row for it."""
        now = self._clock()
        with self._work:
            rows = {slot: self._scheduler.live[slot] for slot in self._scheduler.rows(now)}
        if not rows:
            return None
        with self._failing(rows.values(), f"a step of {len(rows)} rows failed"):
            step = self._runner.launch(list(rows))
            return Flight(step, {slot: rows[slot] for slot in step.slots}, now)
        return None

    def _settle(self, flight: Flight) -> bool:
        """Hear from the model which rows go on, so that the next step can be launched.

        Returns whether there is a sound to come.
        """
        stops = None
        with self._failing(flight.rows.values(), "a step failed"):
            stops = flight.step.stops()
        if stops is None:
            return False
        with self._work:
            for (slot, row), stopped in zip(flight.rows.items(), stops, strict=True):
                if self._is_live(slot, row):
                    row.job.advance(stopped)
        return True

    def _land(self, flight: Flight) -> None:
        """Give the sound to its listeners; then empty the slots of jobs that ended."""
        sounds = None
        with self._failing(flight.rows.values(), "a step gave no sound"):
            sounds = flight.step.samples()
        if sounds is None:
            return
        now = self._clock()
        ended: dict[int, Row] = {}
        with self._work:
            lasted = self._pace.landed(flight.launched, now)
            self._scheduler.stepped(len(flight.rows), lasted)
            for (slot, row), samples in zip(flight.rows.items(), sounds, strict=True):
                if not self._is_live(slot, row):
                    continue
                state = row.job.grow(samples)
                if state is not State.LIVE:
                    self._scheduler.vacate(slot, state)
                    ended[slot] = row
                row.stream.flow(now)
                if row.stream.ended:
                    self._scheduler.leave(row.stream, State.DONE)
        for slot, row in ended.items():
            self._hand_on(row)
            self._runner.release(slot)

    def _is_live(self, slot: int, row: Row) -> bool:
        """Whether a row is what it was when its step was launched: a job made again is another."""
        return self._scheduler.live.get(slot) is row

    def _hand_on(self, row: Row) -> None:
        """Give the jobs that come after a done one their prompt."""
        if row.job.state is not State.DONE:
            return
        followers = [job for job in row.stream.jobs if job.after is row.job]
        if not followers:
            return
        with self._failing([row], "a job gave no prompt"):
            prompt = self._runner.prompt_from(row.job)
            for job in followers:
                job.prompt = prompt

    @contextmanager
    def _failing(self, rows: Iterable[Row], what: str) -> Iterator[None]:
        """Let these rows' streams end with what goes wrong within, and nobody else's.

        An error of the device is everybody's.
        """
        try:
            yield
        except DeviceError:
            raise
        except Exception as error:
            logger.exception(what)
            self._fail({row.stream for row in rows}, error)

    def _fail(self, streams: Set[Stream], error: Exception) -> None:
        """End streams with an error, and empty their slots."""
        for stream in streams:
            stream.fail(
                error
                if isinstance(error, RequestError)
                else Unavailable("The engine failed at this text; the server's log says why.")
            )
        self._release(self._leave(streams, State.FAILED))

    def _leave(self, streams: Iterable[Stream], state: State) -> list[int]:
        """Take streams off the schedule; return the slots that are to be emptied."""
        with self._work:
            return [slot for stream in streams for slot in self._scheduler.leave(stream, state)]

    def _release(self, slots: Iterable[int]) -> None:
        for slot in slots:
            self._runner.release(slot)
