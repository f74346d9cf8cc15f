"""The engine prepares stock voices once it is ready, and added ones when they are added."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.conftest import running
from tests.support.uploads import send
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine, Voice
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

SECONDS = 20


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the voices that an engine was asked to prepare."""
    ids: list[str] = []

    def prepare(self: Engine, voice: Voice) -> None:
        ids.append(voice.id)

    monkeypatch.setattr(Engine, "prepare_voice", prepare)
    return ids


@pytest.fixture
def cloning(tone_settings: Settings) -> Settings:
    return replace(tone_settings, engine="cloning-tone", require_consent=False)


@contextmanager
def opened(settings: Settings) -> Iterator[AppContext]:
    """Yield a context whose engine has started."""
    ctx = AppContext.open(settings)
    with ctx.running_engine():
        yield ctx


def test_the_voices_that_the_engine_can_speak_with_are_prepared_the_default_one_first(
    cloning: Settings, prepared: list[str]
) -> None:
    with opened(replace(cloning, default_voice="nova")) as ctx:
        ctx.prepare_voices()
        ctx.preparation.wait(SECONDS)
        assert prepared[0] == "nova"
        assert len(prepared) == len({*prepared})
        stock = {id_ for id_, voice in ctx.registry.voices.items() if voice.audio}
        assert stock <= {*prepared} <= {*ctx.registry.voices}


def test_several_workers_prepare_them_in_different_orders(
    cloning: Settings, prepared: list[str]
) -> None:
    orders = set()
    for _ in range(5):
        ctx = AppContext.open(cloning, workers=2)
        with ctx.running_engine():
            ctx.prepare_voices()
            ctx.preparation.wait(SECONDS)
        orders.add(tuple(prepared))
        prepared.clear()
    assert len(orders) > 1


@pytest.mark.parametrize("how", ["upload", "keep"])
def test_an_added_voice_is_prepared(cloning: Settings, prepared: list[str], how: str) -> None:
    with running(cloning) as client:
        if how == "upload":
            voice = send(client, consent=None, transcript="The words.").get_json()["id"]
        else:
            body = {"name": "Grandpa", "description": "a calm old man"}
            candidate = client.post("/v1/voices", json=body).get_json()["candidates"][0]["id"]
            voice = client.post(f"/v1/voices/{candidate}/keep").get_json()["id"]
        context_of(client.application).preparation.wait(SECONDS)
        assert prepared == [voice]


def test_the_response_of_an_upload_does_not_wait(
    cloning: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = threading.Event(), threading.Event()

    def prepare(self: Engine, voice: Voice) -> None:
        begun.set()
        assert go.wait(SECONDS)

    monkeypatch.setattr(Engine, "prepare_voice", prepare)
    with running(cloning) as client:
        assert send(client, consent=None, transcript="The words.").status_code == 200
        assert begun.wait(SECONDS)
        go.set()
        context_of(client.application).preparation.wait(SECONDS)


@pytest.mark.parametrize("error", [InvalidRequest("no audio"), ValueError("broken"), SystemExit(3)])
def test_an_error_ends_that_voice_only(
    cloning: Settings,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried: list[str] = []

    def prepare(self: Engine, voice: Voice) -> None:
        tried.append(voice.id)
        if len(tried) == 1:
            raise error

    monkeypatch.setattr(Engine, "prepare_voice", prepare)
    with opened(cloning) as ctx, caplog.at_level(logging.ERROR):
        ctx.preparation.add([ctx.registry.voices["nova"], ctx.registry.voices["echo"]])
        ctx.preparation.wait(SECONDS)
        assert tried == ["nova", "echo"]
    logged = [record.message for record in caplog.records]
    assert bool(logged) != isinstance(error, InvalidRequest)
    assert all("prepare_voice" in message for message in logged)


def test_an_engine_that_is_unloaded_is_not_loaded_for_a_voice(
    cloning: Settings, prepared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = AppContext.open(replace(cloning, idle_unload=1e6))
    ctx.engine.start()
    engine = ctx.engine.wait(SECONDS)
    assert ctx.engine.unload()
    ctx.preparation.add([ctx.registry.voices["nova"]])
    ctx.preparation.wait(SECONDS)
    assert (ctx.engine.state, prepared) == ("unloaded", [])
    engine.prepare_voice(ctx.registry.voices["nova"])
    assert (ctx.engine.state, prepared) == ("ready", ["nova"]), "a request loads it"
    ctx.engine.stop()


def test_the_engine_is_not_unloaded_meanwhile(
    cloning: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    unloaded: list[bool] = []
    ctx = AppContext.open(replace(cloning, idle_unload=1e6))

    def prepare(self: Engine, voice: Voice) -> None:
        unloaded.append(ctx.engine.unload())

    monkeypatch.setattr(Engine, "prepare_voice", prepare)
    ctx.engine.start()
    ctx.preparation.add([ctx.registry.voices["nova"]])
    ctx.preparation.wait(SECONDS)
    assert unloaded == [False]
    ctx.engine.stop()


def test_voices_that_wait_when_the_engine_stops_are_dropped(
    cloning: Settings, prepared: list[str]
) -> None:
    with opened(cloning) as ctx:
        pass
    ctx.preparation.add([ctx.registry.voices["nova"]])
    ctx.preparation.wait(SECONDS)
    assert prepared == []
