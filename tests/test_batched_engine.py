"""The batched engine with a runner that makes noise from seeds and obeys words in the text."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxcpm_openai.contracts import AudioStream, Segment, Usage, Utterance, Voice
from voxcpm_openai.errors import EngineFailed, InvalidRequest, Overloaded, Unavailable
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.job import RETRIES, Job, State, seed_of
from voxcpm_openai.runtime.runner_protocol import DeviceError, Patch

RATE = 4_000
PATCH = 320
"""Samples: 80 ms."""
TIMEOUT = 20
"""Seconds after which what hangs fails its test."""
CLONE = Voice("clone", "Clone", audio=Path("clip.flac"), transcript="A clip.")
UNKNOWN = Voice("unknown", "Unknown")


def noise(seed: int, patch: int) -> np.ndarray:
    samples = np.random.default_rng((seed, patch)).uniform(-0.5, 0.5, PATCH)
    return samples.astype(np.float32)


@dataclass(frozen=True)
class Script:
    """What a text asks for: its words, and the numbers that come after a colon."""

    words: Mapping[str, int]
    tokens: int

    @property
    def room(self) -> int:
        return self.words.get("room", 1_000)


class MockRunner:
    """Speaks so many patches as ``length:n`` says.

    ``astray`` never stops at the first attempt, ``endless`` at none; ``dead`` is silence at the
    first.  ``refuse`` and ``lost-early`` are raised by prepare; ``bad``, ``unsayable`` and ``lost``
    by admit; ``boom:k`` and ``lost-late:k`` by the step of patch k, and ``short:k`` gives one patch
    too few there; ``mute`` gives no prompt.
    """

    sample_rate = RATE
    patch_seconds = PATCH / RATE

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.live: dict[int, Job] = {}
        self.made: dict[int, int] = {}
        self.steps: list[list[Job]] = []
        self.failed: list[Job] = []  # the jobs of steps that failed
        self.admitted: list[tuple[Job, object]] = []
        self.in_step: Callable[[], None] = lambda: None
        self._changed = threading.Condition()

    def prepare(self, utterance: Utterance, segment: Segment) -> Script:
        words = {
            name: int(number or 0)
            for name, _, number in (word.partition(":") for word in segment.text.split())
        }
        if "refuse" in words:
            raise InvalidRequest("refused", param="input")
        if "lost-early" in words:
            raise DeviceError("lost")
        return Script(words, len(words))

    def admit(self, slot: int, job: Job) -> None:
        assert slot in range(self.slots)
        assert slot not in self.live, "a slot is given twice"
        with self._changed:
            self.live[slot], self.made[slot] = job, 0
            self.admitted.append((job, job.prompt))
            self._changed.notify_all()
        self._raise(job, "bad", ValueError)
        self._raise(job, "unsayable", InvalidRequest)
        self._raise(job, "lost", DeviceError)

    def step(self, slots: Sequence[int]) -> list[Patch]:
        jobs = [self.live[slot] for slot in slots]
        with self._changed:
            self.steps.append(jobs)
            self._changed.notify_all()
        self.in_step()
        if any(self._now(slot, "boom") for slot in slots):
            self.failed += jobs
            raise ValueError("boom")
        if any(self._now(slot, "lost-late") for slot in slots):
            raise DeviceError("lost")
        patches = [self._patch(slot) for slot in slots]
        return patches[:-1] if any(self._now(slot, "short") for slot in slots) else patches

    def release(self, slot: int) -> None:
        with self._changed:
            del self.live[slot]
            self._changed.notify_all()

    def prompt_from(self, job: Job) -> object:
        assert job.state is State.DONE
        assert job in self.live.values(), "its slot is empty"
        self._raise(job, "mute", ValueError)
        return ("prompt", job.seed)

    def status(self) -> Mapping[str, object]:
        return {"memory": 7}

    def wait_for(self, happened: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(happened, TIMEOUT)

    def _patch(self, slot: int) -> Patch:
        job, number = self.live[slot], self.made[slot]
        self.made[slot] += 1
        words = job.plan.words  # type: ignore[attr-defined]
        first = job.retries == RETRIES
        samples = noise(job.seed, number)
        if "dead" in words and first:
            samples = np.zeros_like(samples)
        endless = "endless" in words or ("astray" in words and first)
        return Patch(samples, number + 1 >= words["length"] and not endless)

    def _now(self, slot: int, word: str) -> bool:
        return self.live[slot].plan.words.get(word) == self.made[slot]  # type: ignore[attr-defined]

    def _raise(self, job: Job, word: str, error: type[Exception]) -> None:
        if word in job.plan.words:  # type: ignore[attr-defined]
            raise error(word)


class Gate:
    """Lets steps through one by one."""

    def __init__(self, runner: MockRunner) -> None:
        self._runner = runner
        self._permits = threading.Semaphore(0)
        self._open = False
        runner.in_step = self._pass

    def wait_in_step(self, number: int) -> None:
        """Wait until the engine is in its step of this number, from 1."""
        self._runner.wait_for(lambda: len(self._runner.steps) >= number)

    def let(self, steps: int = 1) -> None:
        """Let so many more steps through."""
        self._permits.release(steps)

    def open(self) -> None:
        self._open = True
        self._permits.release()

    def _pass(self) -> None:
        if not self._open:
            assert self._permits.acquire(timeout=TIMEOUT)


@contextmanager
def running(slots: int = 4, *, gated: bool = False, **bounds: Any) -> Iterator[Any]:
    """Give an engine, its runner and, if asked for, the gate before its steps."""
    runner = MockRunner(slots)
    gate = Gate(runner) if gated else None
    bounds = {"rows_per_step": slots, "max_waiting": 10_000, "max_wait": 1e9, **bounds}
    engine = BatchedEngine(runner, **bounds)
    try:
        yield (engine, runner, gate) if gate else (engine, runner)
    finally:
        if gate:
            gate.open()
        engine.stop()


def utterance(*texts: str, pause: float = 0.0, **changes: Any) -> Utterance:
    segments = tuple(Segment(text, pause) for text in texts)
    return Utterance(segments, **{"voice": CLONE, "seed": 7, **changes})


def hear(stream: AudioStream) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in stream)])


def segment(seed: int, index: int, patches: int, attempt: int = 0) -> np.ndarray:
    """Return what a segment sounds like, from the seed of its request alone."""
    own = seed_of(seed, index, attempt)
    return np.concatenate([noise(own, patch) for patch in range(patches)])


def idle(engine: BatchedEngine, runner: MockRunner) -> None:
    """Wait until nothing is left to do; check that nothing is left behind."""
    deadline = time.monotonic() + TIMEOUT
    while engine.status()["streams"] and time.monotonic() < deadline:
        os.sched_yield()  # who leaves without ever having had a slot leaves without a sign
    runner.wait_for(lambda: not runner.live)
    status = engine.status()
    assert (status["streams"], status["live"], status["waiting"]) == (0, 0, 0)


# Segments


def test_segments_are_made_together_and_heard_in_order_with_their_pauses() -> None:
    with running(8) as (engine, runner):
        heard = hear(engine.speak(utterance("length:9", "length:4", "length:6", pause=0.1)))
        silence = np.zeros(400, np.float32)
        parts = [segment(7, index, n) for index, n in enumerate([9, 4, 6])]
        np.testing.assert_array_equal(heard, np.concatenate([np.r_[p, silence] for p in parts]))
        idle(engine, runner)
        assert max(len(jobs) for jobs in runner.steps) == 3
        assert len(runner.steps) == 9  # no longer than the longest, although others joined later


def test_without_a_clip_the_first_segment_is_the_prompt_of_the_rest() -> None:
    with running(8) as (engine, runner):
        texts = ["length:5", "length:5", "length:5"]
        heard = hear(engine.speak(utterance(*texts, voice=UNKNOWN)))
        assert len(heard) == 15 * PATCH
        prompt = ("prompt", seed_of(7, 0, 0))
        assert [(j.index, p) for j, p in runner.admitted] == [(0, None), (1, prompt), (2, prompt)]
        assert [len(jobs) for jobs in runner.steps] == [1] * 5 + [1, 2, 2, 2, 2, 1]


def test_a_first_segment_that_is_made_again_is_the_prompt_only_once_it_is_good() -> None:
    with running(8) as (engine, runner):
        hear(engine.speak(utterance("length:5 dead", "length:5", voice=UNKNOWN)))
        prompt = ("prompt", seed_of(7, 0, 1))
        assert [(j.index, p) for j, p in runner.admitted] == [(0, None), (0, None), (1, prompt)]


def test_a_segment_that_gives_no_prompt_fails_its_utterance_alone() -> None:
    with running(8) as (engine, runner):
        other = engine.speak(utterance("length:9"))
        mute = engine.speak(utterance("length:5 mute", "length:5", voice=UNKNOWN))
        with pytest.raises(Unavailable):
            hear(mute)
        assert len(hear(other)) == 9 * PATCH
        idle(engine, runner)


@pytest.mark.parametrize("fault", ["astray room:12", "dead"])
def test_a_segment_that_goes_wrong_unheard_is_made_again_unseen(fault: str) -> None:
    with running(8) as (engine, runner):
        stream = engine.speak(utterance("length:60", f"length:8 {fault}"))
        expected = [segment(7, 0, 60), segment(7, 1, 8, attempt=1)]
        np.testing.assert_array_equal(hear(stream), np.concatenate(expected))
        assert [job.index for job, _ in runner.admitted] == [0, 1, 1]
        assert stream.usage == Usage(1 + len(f"length:8 {fault}".split()), 68)


def test_what_is_heard_ends_at_its_budget_and_the_rest_follows() -> None:
    with running(8) as (engine, runner):
        stream = engine.speak(utterance("length:9 endless room:12", "length:5"))
        expected = [segment(7, 0, 12), segment(7, 1, 5)]
        np.testing.assert_array_equal(hear(stream), np.concatenate(expected))
        assert [job.index for job, _ in runner.admitted] == [0, 1]


def test_a_seed_is_drawn_where_none_is_asked_for() -> None:
    with running() as (engine, _):
        first, second = (hear(engine.speak(utterance("length:5", seed=None))) for _ in range(2))
        assert first.shape == second.shape
        assert not np.array_equal(first, second)


def test_options_reach_the_job() -> None:
    with running() as (engine, runner):
        hear(engine.speak(utterance("length:5")))
        options = {"cfg_value": 3, "inference_steps": 5}
        hear(engine.speak(utterance("length:5", options=options)))
        assert [(j.cfg, j.steps) for j, _ in runner.admitted] == [(2.0, 10), (3.0, 5)]
        with pytest.raises(InvalidRequest, match="cfg_value"):
            engine.speak(utterance("length:5", options={"cfg_value": "much"}))


def test_usage_is_final_at_the_end() -> None:
    with running() as (engine, _):
        stream = engine.speak(utterance("length:5", "length:6 and more"))
        hear(stream)
        assert stream.usage == Usage(4, 11)


# Joining, leaving, failing

TEXTS = st.lists(
    st.tuples(
        st.integers(4, 9),
        st.sampled_from(["", "", "", "", "bad", "boom:0", "boom:3", "astray room:11", "dead"]),
    ),
    min_size=1,
    max_size=4,
)
REQUESTS = st.lists(
    st.tuples(TEXTS, st.booleans(), st.none() | st.integers(0, 12)), min_size=1, max_size=7
)
"""Segments, whether the voice has a clip, and after how many chunks the listener hangs up."""


@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS, slots=st.integers(1, 5), rows=st.integers(1, 5), data=st.data())
def test_whatever_joins_leaves_and_fails_the_others_speak_as_if_alone(
    requests: list[Any], slots: int, rows: int, data: st.DataObject
) -> None:
    with running(slots, rows_per_step=rows) as (engine, runner):
        streams, heard, failed = [], [], set()
        for seed, (texts, clip, _) in enumerate(requests):
            words = [f"length:{n} {word}" for n, word in texts]
            voice = CLONE if clip else UNKNOWN
            streams.append(engine.speak(utterance(*words, voice=voice, seed=seed)))
            heard.append([])
        open_ = set(range(len(streams)))
        while open_:  # listeners take their chunks in any order
            number = data.draw(st.sampled_from(sorted(open_)))
            if len(heard[number]) == requests[number][2]:
                streams[number].close()
            try:
                heard[number].append(next(streams[number]))
            except StopIteration:
                open_.remove(number)
            except Unavailable:
                open_.remove(number)
                failed.add(number)
        idle(engine, runner)
        for number, (texts, _, leaves) in enumerate(requests):
            jobs = set(streams[number].jobs)
            in_failed_step = bool(jobs & set(runner.failed))
            if number in failed:
                assert in_failed_step or any(word == "bad" for _, word in texts)
            elif leaves is None or len(heard[number]) < leaves:
                assert not in_failed_step
                check_sound(number, texts, heard[number])
        status = engine.status()
        total = sum(len(texts) for texts, _, _ in requests)
        assert status["done"] + status["failed"] + status["cancelled"] == total
        assert status["state"] == "ready"


def check_sound(seed: int, texts: list[tuple[int, str]], chunks: list[Any]) -> None:
    """Check each segment against the noise of its own seeds; a late one may end at its budget."""
    assert [c.segment for c in chunks] == sorted(c.segment for c in chunks)
    for index, (length, word) in enumerate(texts):
        sound = np.concatenate([c.samples for c in chunks if c.segment == index])
        may_be = [segment(seed, index, length, attempt=int(word == "dead"))]
        if word.startswith("astray"):
            may_be = [segment(seed, index, 11), segment(seed, index, length, attempt=1)]
        assert any(np.array_equal(sound, one) for one in may_be)


def test_a_row_alone_sounds_like_the_row_among_others(pool: ThreadPoolExecutor) -> None:
    texts = ("length:9", "length:5", "length:12")
    with running(8, rows_per_step=3) as (engine, _):
        alone = hear(engine.speak(utterance(*texts, pause=0.2)))
        others = [utterance("length:20", "length:6", seed=seed) for seed in range(7)]
        streams = [engine.speak(one) for one in [*others, utterance(*texts, pause=0.2)]]
        heard = list(pool.map(hear, streams))
    np.testing.assert_array_equal(heard[-1], alone)


def test_clients_that_hang_up_at_random_disturb_nobody() -> None:
    def client(number: int) -> None:
        chance = random.Random(number)
        texts = [f"length:{chance.randint(4, 12)}" for _ in range(chance.randint(1, 4))]
        stream = engine.speak(utterance(*texts, seed=number))
        leaves = chance.choice([None, None, chance.randint(0, 15)])
        chunks = list(itertools.islice(stream, leaves))
        stream.close()
        if leaves is None:
            check_sound(number, [(int(text[7:]), "") for text in texts], chunks)

    with running(6, rows_per_step=4) as (engine, runner), ThreadPoolExecutor(16) as clients:
        list(clients.map(client, range(200), timeout=60))
        idle(engine, runner)


def test_a_thousand_jobs_leave_no_slot_thread_or_memory_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # pytest keeps what is logged, and with it the tracebacks of failed steps.
    caplog.set_level(logging.CRITICAL, "voxcpm_openai.runtime.engine")
    with running(8) as (engine, runner):
        threads = threading.active_count()
        jobs: weakref.WeakSet[Job] = weakref.WeakSet()
        ends = itertools.cycle(["", "", "bad", "boom:2"])
        for number in range(250):
            texts = ["length:4", f"length:5 {next(ends)}", "length:4", "length:4"]
            stream = engine.speak(utterance(*texts, seed=number))
            jobs.update(stream.jobs)
            if number % 5 == 0:
                next(stream, None)
                stream.close()
            try:
                hear(stream)
            except Unavailable:
                pass
        idle(engine, runner)
        status = engine.status()
        assert status["done"] + status["failed"] + status["cancelled"] == 1000
        assert threading.active_count() == threads
        del stream
        for log in (runner.steps, runner.failed, runner.admitted):
            log.clear()
        # One more, so that what the thread still names is of its last turn.
        hear(engine.speak(utterance("length:4")))
        idle(engine, runner)
        for log in (runner.steps, runner.admitted):
            log.clear()
        gc.collect()
        assert len(jobs) == 0


def test_closing_wakes_a_listener_who_waits(pool: ThreadPoolExecutor) -> None:
    with running(gated=True) as (engine, runner, gate):
        stream = engine.speak(utterance("length:5"))
        heard = pool.submit(hear, stream)
        gate.wait_in_step(1)
        assert not heard.done()
        stream.close()
        assert len(heard.result(TIMEOUT)) == 0
        stream.close()
        gate.open()
        idle(engine, runner)
        assert engine.status()["cancelled"] == 1


def test_who_leaves_is_gone_before_the_next_step() -> None:
    with running(gated=True) as (engine, runner, gate):
        leaves = engine.speak(utterance("length:50"))
        stays = engine.speak(utterance("length:6", seed=8))
        gate.let()
        gate.wait_in_step(2)
        leaves.close()
        gate.open()
        np.testing.assert_array_equal(hear(stays), segment(8, 0, 6))
        assert not any(job in leaves.jobs for jobs in runner.steps[2:] for job in jobs)


def test_who_leaves_while_waiting_never_gets_a_slot() -> None:
    with running(1, gated=True) as (engine, runner, gate):
        first = engine.speak(utterance("length:5"))
        gate.wait_in_step(1)
        engine.speak(utterance("length:5", seed=8)).close()
        gate.open()
        hear(first)
        idle(engine, runner)
        assert [job for job, _ in runner.admitted] == list(first.jobs)


def test_a_failing_step_fails_its_jobs_and_the_loop_goes_on() -> None:
    with running(4, rows_per_step=1) as (engine, runner):
        good = engine.speak(utterance("length:9", seed=1))
        bad = engine.speak(utterance("length:9 boom:2", seed=2))
        with pytest.raises(Unavailable):
            hear(bad)
        np.testing.assert_array_equal(hear(good), segment(1, 0, 9))
        np.testing.assert_array_equal(hear(engine.speak(utterance("length:5"))), segment(7, 0, 5))
        idle(engine, runner)
        assert (engine.status()["failed"], engine.status()["done"]) == (1, 2)


def test_a_job_that_cannot_be_admitted_fails_alone() -> None:
    with running() as (engine, runner):
        good = engine.speak(utterance("length:9"))
        with pytest.raises(Unavailable, match="log"):
            hear(engine.speak(utterance("length:9 bad")))
        assert len(hear(good)) == 9 * PATCH
        idle(engine, runner)


def test_what_the_runner_refuses_is_raised_as_it_is() -> None:
    with running() as (engine, runner):
        with pytest.raises(InvalidRequest, match="unsayable"):
            hear(engine.speak(utterance("length:5", "unsayable")))
        with pytest.raises(InvalidRequest, match="refused"):
            engine.speak(utterance("length:5", "refuse"))
        with pytest.raises(InvalidRequest, match="nothing"):
            engine.speak(utterance())
        idle(engine, runner)


# The end


@pytest.mark.parametrize("fault", ["lost", "lost-late:3", "short:3"])
def test_a_lost_device_ends_all_streams_and_turns_the_engine_red(fault: str) -> None:
    with running(2, gated=True) as (engine, runner, gate):
        speaks = engine.speak(utterance("length:20"))
        gate.wait_in_step(1)
        breaks = engine.speak(utterance(f"length:9 {fault}"))
        waits = engine.speak(utterance("length:9"))
        gate.open()
        for stream in (speaks, breaks, waits):
            with pytest.raises(EngineFailed):
                hear(stream)
        with pytest.raises(EngineFailed) as caught:
            engine.speak(utterance("length:9"))
        assert caught.value.headers["x-should-retry"] == "false"
        engine.stop()
        status = engine.status()
        assert (status["state"], status["live"], status["streams"]) == ("failed", 0, 0)
        assert len(runner.live) == 2, "a runner that failed is not to be touched again"
        with pytest.raises(EngineFailed):
            engine.speak(utterance("length:9"))


def test_a_device_lost_while_a_request_is_read_turns_the_engine_red() -> None:
    with running() as (engine, _):
        with pytest.raises(EngineFailed):
            engine.speak(utterance("lost-early"))
        assert engine.status()["state"] == "failed"


def test_stop_ends_streams_that_wait_and_the_thread(pool: ThreadPoolExecutor) -> None:
    with running(1, gated=True) as (engine, runner, gate):
        streams = [engine.speak(utterance("length:9", "length:9")) for _ in range(2)]
        listeners = [pool.submit(hear, stream) for stream in streams]
        gate.wait_in_step(1)
        stopping = pool.submit(engine.stop)
        for listener in listeners:  # at once, and not when the step is over
            with pytest.raises(Unavailable, match="stopped"):
                listener.result(TIMEOUT)
        gate.open()
        stopping.result(TIMEOUT)
        assert "voxcpm-engine" not in {thread.name for thread in threading.enumerate()}
        assert runner.live == {}
        assert engine.status()["state"] == "stopped"
        with pytest.raises(Unavailable, match="stopped"):
            engine.speak(utterance("length:9"))


# Under load


def test_the_first_sound_comes_early_under_load() -> None:
    with running(8, rows_per_step=2, gated=True) as (engine, runner, gate):
        texts = [engine.speak(utterance(*["length:30"] * 20, seed=seed)) for seed in range(2)]
        gate.let(40)
        gate.wait_in_step(41)
        newcomer = engine.speak(utterance("length:9", seed=9))
        gate.let(2)
        assert next(newcomer).segment == 0
        assert len(runner.steps) <= 43
        gate.open()
        for text in texts:
            text.close()
        assert len(hear(newcomer)) == 8 * PATCH


def test_overload_says_from_the_measured_rate_when_to_come_back() -> None:
    now = 0.0

    def clock() -> float:
        return now

    with running(1, gated=True, max_waiting=1, clock=clock) as (engine, runner, gate):
        wait = runner.in_step

        def slow_step() -> None:
            nonlocal now
            wait()
            now += 2.0

        runner.in_step = slow_step
        speaks = engine.speak(utterance("x" * 40 + " length:30"))
        gate.let(4)
        gate.wait_in_step(5)
        waits = engine.speak(utterance("length:5"))
        with pytest.raises(Overloaded) as caught:
            engine.speak(utterance("refuse"))  # which would be seen, were the text read before
        left = speaks.jobs[0].budget.likely - 4
        # The job that runs, then a whole one: as nobody knows better, as long as the first.
        seconds = 2 * (left + speaks.jobs[0].budget.likely)
        assert caught.value.headers["Retry-After"] == str(seconds)
        status = engine.status()
        assert (status["live"], status["waiting"]) == (1, 1)
        assert status["seconds_per_patch"] == pytest.approx(2.0)
        assert status["steps_per_second"] == pytest.approx(0.5)
        assert status["real_time_factor"] == pytest.approx(25.0)
        assert status["runner"] == {"memory": 7}
        speaks.close()
        gate.open()
        assert len(hear(waits)) == 5 * PATCH
