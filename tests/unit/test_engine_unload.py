"""The engine is unloaded when idle, and loaded again by the next speech request."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from tests.support import TONE_PLUGINS
from tests.support.socket_client import until
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine, Segment, Utterance, Voice
from voxcpm_openai.errors import ClientLeft, Draining, EngineLoading, StartError, WakeFailed
from voxcpm_openai.lifecycle import FIRST_PAUSE, EngineLifecycle
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine

NEVER = 1e6
SECONDS = 20
HELLO = Utterance((Segment("Hello."),), Voice("alloy", "Alloy"))


class Loads:
    """A lifecycle whose engine is made by ``start``, and what has become of its engines."""

    def __init__(self, idle_unload: float = NEVER, idle_wait: float = SECONDS) -> None:
        settings = Settings(
            engine="tone",
            plugins_dir=TONE_PLUGINS,
            idle_unload=idle_unload,
            idle_wait=idle_wait,
        )
        self.begun = self.freed = 0
        self.stopped = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self.failing = False
        self.life: EngineLifecycle = AppContext.open(settings).engine
        choice = self.life._choice
        spec = replace(choice.spec, start=self.start, free=self.free)
        self.life._choice = replace(choice, spec=spec)
        self.life.start()
        self.life.wait(SECONDS)

    def start(self, _: Settings) -> Engine:
        self.begun += 1
        assert self.go.wait(SECONDS)
        if self.failing:
            raise StartError("no memory is free")
        loads = self

        class Stopping(ToneEngine):
            def stop(self) -> None:
                loads.stopped.set()

        return Stopping()

    def free(self) -> None:
        self.freed += 1

    def wait_until_waking(self) -> None:
        until(lambda: self.life.state == "waking")


@pytest.fixture
def make() -> Iterator[Callable[..., Loads]]:
    made: list[Loads] = []

    def make(**arguments: float) -> Loads:
        made.append(Loads(**arguments))
        return made[-1]

    yield make
    for loads in made:
        loads.go.set()
        loads.life.stop()


def say(loads: Loads) -> int:
    """Return the number of chunks of a stream."""
    with closing(loads.life.get().synthesize(HELLO)) as stream:
        return len(list(stream))


def test_an_unloaded_engine_is_stopped_and_its_memory_freed(
    make: Callable[..., Loads],
) -> None:
    loads = make()
    engine = weakref.ref(loads.life.acquire())
    loads.life.release()
    assert loads.life.unload()
    gc.collect()
    assert engine() is None
    assert loads.stopped.is_set()
    assert loads.freed == 1
    assert loads.life.state == "unloaded"
    assert not loads.life.unload()


def test_the_handle_keeps_the_capabilities_and_the_next_speech_loads_the_engine(
    make: Callable[..., Loads],
) -> None:
    loads = make()
    handle = loads.life.get()
    loads.life.unload()
    assert loads.life.get() is handle
    assert handle.capabilities.languages == ("en",)
    assert (handle.name, loads.begun) == ("tone", 1)
    assert say(loads) == 3
    assert (loads.life.state, loads.begun) == ("ready", 2)


def test_without_the_setting_there_is_no_handle(make: Callable[..., Loads]) -> None:
    loads = make(idle_unload=0)
    assert isinstance(loads.life.get(), ToneEngine)


def test_an_idle_engine_is_unloaded_automatically(make: Callable[..., Loads]) -> None:
    loads = make(idle_unload=0.01)
    for _ in range(2):
        assert loads.stopped.wait(SECONDS)
        loads.stopped.clear()
        assert say(loads) == 3


def test_an_open_stream_keeps_it_loaded_until_it_is_closed(make: Callable[..., Loads]) -> None:
    loads = make()
    stream = loads.life.get().synthesize(HELLO)
    list(stream)
    assert not loads.life.unload()
    stream.close()
    stream.close()
    assert loads.life.unload()


def test_a_garbage_collected_stream_does_not_keep_it_loaded(
    make: Callable[..., Loads],
) -> None:
    loads = make()
    loads.life.get().synthesize(HELLO)
    gc.collect()
    assert loads.life.unload()


def test_concurrent_requests_load_it_once(make: Callable[..., Loads]) -> None:
    loads = make()
    loads.life.unload()
    loads.go.clear()
    with ThreadPoolExecutor(8) as pool:
        said = [pool.submit(say, loads) for _ in range(8)]
        loads.wait_until_waking()
        loads.go.set()
        assert [one.result(SECONDS) for one in said] == [3] * 8
    assert loads.begun == 2


def test_a_request_waits_at_most_idle_wait(make: Callable[..., Loads]) -> None:
    loads = make(idle_wait=0.01)
    loads.life.unload()
    loads.go.clear()
    with pytest.raises(EngineLoading) as caught:
        say(loads)
    assert caught.value.code == "engine_loading"
    assert caught.value.headers == {"Retry-After": "5"}
    assert loads.life.state == "waking"


def test_a_client_that_disconnects_ends_the_wait(make: Callable[..., Loads]) -> None:
    loads = make(idle_wait=2 * SECONDS)
    loads.life.unload()
    loads.go.clear()
    left = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(loads.life.acquire, left.is_set)
        loads.wait_until_waking()
        left.set()
        loads.life.notify_waiting()
        with pytest.raises(ClientLeft):
            waiting.result(SECONDS)


def test_a_failed_load_fails_all_waiting_requests_and_is_retried_after_a_pause(
    make: Callable[..., Loads], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loads = make()
    loads.life.unload()
    loads.failing = True
    for failures in (1, 2):
        loads.go.clear()
        with ThreadPoolExecutor(2) as pool:
            said = [pool.submit(say, loads) for _ in range(2)]
            loads.wait_until_waking()
            loads.go.set()
            for one in said:
                with pytest.raises(WakeFailed) as caught:
                    one.result(SECONDS)
        assert (caught.value.status, caught.value.code) == (503, "engine_failed")
        assert caught.value.headers == {"Retry-After": f"{FIRST_PAUSE * failures:.0f}"}
        assert loads.life.state == "failed"
        with pytest.raises(WakeFailed):
            say(loads)  # during the pause: not retried
        assert loads.begun == 1 + failures
        monkeypatch.setattr(loads.life, "_retry_at", 0.0)  # the pause is over
        assert loads.life.state == "unloaded"
    assert "no memory is free" in caplog.text
    loads.failing = False
    assert say(loads) == 3
    assert loads.life.state == "ready"


@pytest.mark.parametrize("begun", [False, True], ids=["unloaded", "waking"])
def test_it_can_be_stopped_while_unloaded_or_waking(
    make: Callable[..., Loads], *, begun: bool
) -> None:
    loads = make()
    loads.life.unload()
    loads.stopped.clear()
    loads.go.clear()
    with ThreadPoolExecutor(1) as pool:
        if begun:
            waiting = pool.submit(say, loads)
            loads.wait_until_waking()
        loads.life.stop()
        if begun:
            with pytest.raises(Draining):
                waiting.result(SECONDS)
            loads.go.set()
            assert loads.stopped.wait(SECONDS)  # the engine that was being loaded
    assert loads.life.state == "draining"
    with pytest.raises(Draining):
        loads.life.acquire()


def test_a_draining_server_loads_it_for_a_request_that_has_begun(
    make: Callable[..., Loads],
) -> None:
    loads = make()
    handle = loads.life.get()
    loads.life.unload()
    loads.life.drain()
    with closing(handle.synthesize(HELLO)) as stream:
        assert len(list(stream)) == 3


@pytest.mark.parametrize("error", [ValueError("in use"), SystemExit(3)])
def test_a_memory_that_cannot_be_freed_is_logged(
    make: Callable[..., Loads], caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    loads = make()

    def free() -> None:
        raise error

    choice = loads.life._choice
    loads.life._choice = replace(choice, spec=replace(choice.spec, free=free))
    assert loads.life.unload()
    assert "free() failed" in caplog.text
    assert say(loads) == 3


def test_an_engine_is_stopped_before_the_next_one_is_loaded(make: Callable[..., Loads]) -> None:
    loads = make()
    entered, leave = threading.Event(), threading.Event()

    def slow_free() -> None:
        entered.set()
        assert leave.wait(SECONDS)

    choice = loads.life._choice
    loads.life._choice = replace(choice, spec=replace(choice.spec, free=slow_free))
    with ThreadPoolExecutor(2) as pool:
        unloading = pool.submit(loads.life.unload)
        assert entered.wait(SECONDS)
        said = pool.submit(say, loads)
        loads.wait_until_waking()
        assert loads.begun == 1
        leave.set()
        assert unloading.result(SECONDS)
        assert said.result(SECONDS) == 3
    assert loads.begun == 2
