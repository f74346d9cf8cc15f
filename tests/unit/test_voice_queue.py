"""Voices are encoded between the steps, part by part, and listeners come first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.clock import Clock
from voxcpm_openai.errors import EngineFailed, InvalidRequest, Unavailable
from voxcpm_openai.runtime.engine.voice_queue import SHARE, VoiceQueue
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.testing.mock_runner import CLONE, TIMEOUT, collect, running, utterance

PLENTY, NONE = 100.0, -1.0
"""Seconds to spare."""


class Work:
    """Work of some parts, each of which is reported to ``on_part``."""

    def __init__(self, parts: int, on_part: Callable[[], None] = lambda: None) -> None:
        self.left, self.on_part = parts, on_part

    def run_part(self) -> bool:
        self.on_part()
        self.left -= 1
        return not self.left


class Queue:
    """A queue on a fake clock; each part takes ``seconds``."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.clock, self.seconds = Clock(), seconds
        self.lock, self.pool = threading.Condition(), ThreadPoolExecutor(4)
        self.queue = VoiceQueue(self.lock, self.clock, lambda: None)
        self.ran: list[str] = []

    def add(self, name: str, parts: int, *, wanted: bool) -> Work:
        def on_part() -> None:
            self.clock.now += self.seconds
            self.ran.append(name)

        work = Work(parts, on_part)
        with self.lock:
            waiting = len(self.queue._entries)
        self.pool.submit(self.queue.complete, work, wanted=wanted)
        with self.lock:
            assert self.lock.wait_for(lambda: len(self.queue._entries) > waiting, TIMEOUT)
        return work

    def run(self, spare: float) -> list[str]:
        """Run parts; return the names of their work."""
        self.ran.clear()
        begun = self.clock()
        self.queue.run_parts(lambda now: spare - (now - begun))
        return list(self.ran)

    def close(self) -> None:
        with self.lock:
            self.queue.fail(Unavailable("the end"))
        self.pool.shutdown()


@pytest.fixture
def queue() -> Iterator[Queue]:
    queue = Queue()
    yield queue
    queue.close()


def test_without_listeners_all_parts_run(queue: Queue) -> None:
    queue.add("first", 3, wanted=False)
    queue.add("second", 2, wanted=False)
    assert queue.run(PLENTY) == ["first"] * 3 + ["second"] * 2
    assert not queue.queue.pending


def test_parts_run_only_as_long_as_listeners_have_time(queue: Queue) -> None:
    queue.add("voice", 100, wanted=False)
    assert queue.run(0.35) == ["voice"] * 3
    assert queue.run(0.05) == []
    assert queue.run(NONE) == []


def test_a_voice_that_a_request_waits_for_comes_first(queue: Queue) -> None:
    queue.add("background", 5, wanted=False)
    queue.run(0.0)
    queue.add("request", 2, wanted=True)
    assert queue.run(0.45) == ["request", "request", "background", "background"]


def test_without_time_a_request_gets_a_share_and_the_background_nothing(queue: Queue) -> None:
    queue.add("background", 50, wanted=False)
    queue.add("request", 50, wanted=True)
    begun, parts = queue.clock.now, 0
    for _ in range(100):
        queue.clock.now += 0.02  # a step
        ran = queue.run(NONE)
        assert len(ran) <= 1, "a step waits for one part at most"
        assert "background" not in ran
        parts += len(ran)
    assert parts * queue.seconds / (queue.clock.now - begun) == pytest.approx(SHARE, rel=0.1)


def test_a_request_for_a_voice_in_the_background_makes_it_come_first(queue: Queue) -> None:
    queue.add("other", 5, wanted=False)
    work = queue.add("voice", 5, wanted=False)
    waiting = queue.pool.submit(queue.queue.complete, work, wanted=True)
    with queue.lock:
        assert queue.lock.wait_for(lambda: queue.queue._entries[work].wanted, TIMEOUT)
    assert queue.run(0.5)[0] == "voice"
    queue.run(PLENTY)
    waiting.result(TIMEOUT)


def test_a_request_waits_until_the_engine_has_encoded_its_voice() -> None:
    threads = set()
    work = Work(5, lambda: threads.add(threading.current_thread()))
    with running() as (engine, runner):
        runner.work_of = lambda voice: work if voice is CLONE and work.left else None
        assert len(collect(engine.synthesize(utterance("length:5"))))
        assert work.left == 0
        assert threads == {engine._thread}


def test_a_voice_is_prepared_between_the_steps_of_rows() -> None:
    """The listener takes nothing, so that it has time: audio of 80 ms comes at once."""
    with running(gated=True) as (engine, runner, gate):
        stream = engine.synthesize(utterance("length:200"))
        gate.wait_in_step(1)
        seen: list[int] = []
        work = Work(3, lambda: seen.append(len(runner.steps)))
        runner.work_of = lambda voice: work
        with ThreadPoolExecutor(1) as pool:
            prepared = pool.submit(engine.prepare_voice, CLONE)
            with engine._work:
                assert engine._work.wait_for(lambda: engine._voices.pending, TIMEOUT)
            gate.permit(60)
            prepared.result(TIMEOUT)
        assert seen
        assert seen[0] > 10, "rows had 1.5 s of audio before the first part"
        stream.close()


@pytest.mark.parametrize("call", ["synthesize", "prepare_voice"])
def test_a_voice_that_cannot_be_encoded_fails_its_request_only(call: str) -> None:
    def broken() -> None:
        raise InvalidRequest("no audio", param="voice")

    with running() as (engine, runner):
        runner.work_of = lambda voice: Work(3, broken) if voice is CLONE else None
        with pytest.raises(InvalidRequest, match="no audio"):
            engine.prepare_voice(CLONE) if call != "synthesize" else engine.synthesize(
                utterance("length:5")
            )
        runner.work_of = lambda voice: None
        assert len(collect(engine.synthesize(utterance("length:5"))))


def test_a_device_that_is_lost_while_a_voice_is_encoded_fails_the_engine() -> None:
    def lost() -> None:
        raise DeviceError("lost")

    with running() as (engine, runner):
        runner.work_of = lambda voice: Work(3, lost)
        with pytest.raises(EngineFailed):
            engine.synthesize(utterance("length:5"))
        assert engine.status().state == "failed"


def test_stop_wakes_those_who_wait_for_a_voice() -> None:
    begun, go = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert go.wait(TIMEOUT)

    with ThreadPoolExecutor(2) as pool, running() as (engine, runner):
        runner.work_of = lambda voice: Work(1_000, wait)
        waiting = pool.submit(engine.prepare_voice, CLONE)
        assert begun.wait(TIMEOUT)
        stopping = pool.submit(engine._close, "stopped")
        with pytest.raises(Unavailable):
            waiting.result(TIMEOUT)
        go.set()
        stopping.result(TIMEOUT)
