"""An idle engine waits without a timeout, and a failure is logged."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import pytest

from voxcpm_openai.errors import EngineFailed
from voxcpm_openai.testing.mock_runner import TIMEOUT, collect, running, utterance


class Waiting(threading.Condition):
    """A condition that signals when a thread waits for it without a timeout."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            self.asleep.set()
        return super().wait(timeout)


def test_an_idle_engine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "voxcpm_openai.runtime.engine.engine.threading",
        SimpleNamespace(Condition=Waiting, Thread=threading.Thread),
    )
    with running() as (engine, _):
        assert engine._work.asleep.wait(TIMEOUT)
        engine._work.asleep.clear()
        collect(engine.synthesize(utterance("length:5")))
        assert engine._work.asleep.wait(TIMEOUT), "it does not sleep after a request"


def test_an_idle_engine_does_the_work_that_was_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Part by part, and never while there is a stream."""
    monkeypatch.setattr("voxcpm_openai.runtime.engine.engine.IDLE_SECONDS", 0.001)
    left, done = [True, True, False], threading.Event()
    with running() as (engine, runner):

        def work_idle() -> bool:
            assert not engine.status().streams
            more = left.pop(0)
            if not left:
                done.set()
            return more

        runner.work_idle = work_idle
        collect(engine.synthesize(utterance("length:5")))
        assert done.wait(TIMEOUT)
        # It ended with an answer of no: nothing is asked until the next stream.
        left.append(False)
        done.clear()
        collect(engine.synthesize(utterance("length:5")))
        assert done.wait(TIMEOUT)
        assert engine.status().state == "ready"


@pytest.mark.parametrize("text", ["lost-early", "length:5 lost", "length:5 lost-late:2"])
def test_a_device_failure_is_logged_with_its_traceback(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running() as (engine, _):
        with caplog.at_level(logging.ERROR), pytest.raises(EngineFailed) as caught:
            collect(engine.synthesize(utterance(text)))
        assert caught.value.headers["Retry-After"] == "60"
        engine._thread.join(TIMEOUT)
        with pytest.raises(EngineFailed):
            engine.synthesize(utterance("length:5"))
    tracebacks = [record.exc_info for record in caplog.records if record.exc_info]
    assert any("DeviceError" in str(traceback[0]) for traceback in tracebacks)
