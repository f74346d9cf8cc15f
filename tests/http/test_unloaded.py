"""HTTP while the engine is unloaded: routes that need no engine, and requests that load it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from tests.conftest import running
from tests.support.metrics import Scrape
from voxcpm_openai import Engine
from voxcpm_openai.errors import StartError
from voxcpm_openai.lifecycle import EngineLifecycle
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
GOOD = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "response_format": "pcm"}


@pytest.fixture
def unloaded(tone_settings: Settings) -> Iterator[FlaskClient]:
    settings = replace(tone_settings, idle_unload=1e6, idle_wait=20.0, engine="cloning-tone")
    with running(settings) as client:
        assert life(client).unload()
        yield client


def life(client: FlaskClient) -> EngineLifecycle:
    return context_of(client.application).engine


def replace_start(client: FlaskClient, start: Callable[[Settings], Engine]) -> None:
    """Replace the function that loads the engine."""
    choice = life(client)._choice
    life(client)._choice = replace(choice, spec=replace(choice.spec, start=start))


def fail(client: FlaskClient) -> None:
    """Let each load of the engine fail."""

    def start(_: Settings) -> Engine:
        raise StartError("no memory is free")

    replace_start(client, start)


def test_the_server_is_ready_while_the_engine_is_unloaded(unloaded: FlaskClient) -> None:
    reply = unloaded.get("/ready")
    assert reply.status_code == 200
    assert reply.get_json()["engine"] == {"name": "cloning-tone", "state": "unloaded"}
    assert unloaded.get("/health").get_json()["engine"]["state"] == "unloaded"
    found = Scrape(unloaded.get("/metrics").text)
    assert found.sum("voxcpm_engine_state", state="unloaded") == 1
    assert found.sum("voxcpm_engine_state") == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/models", None),
        ("GET", "/v1/models/tts-1", None),
        ("GET", "/v1/audio/models", None),
        ("GET", "/v1/voices", None),
        ("GET", "/v1/audio/voices", None),
        ("GET", "/v2/voices", None),
        ("POST", "/v1/audio/speech/text", GOOD),
    ],
)
def test_other_routes_do_not_load_it(
    unloaded: FlaskClient, method: str, path: str, body: object
) -> None:
    reply = unloaded.open(path, method=method, json=body, headers={"xi-api-key": "-"})
    assert reply.status_code == 200
    assert life(unloaded).state == "unloaded"


def test_an_invalid_request_does_not_load_it(unloaded: FlaskClient) -> None:
    reply = unloaded.post(SPEECH, json={**GOOD, "voice": "nobody"})
    assert reply.status_code == 400
    assert life(unloaded).state == "unloaded"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (SPEECH, GOOD),
        (SPEECH, {**GOOD, "stream_format": "sse", "model": "gpt-4o-mini-tts"}),
        ("/v1/audio/speech/batch", {**GOOD, "items": [{"input": "One."}, {"input": "Two."}]}),
        ("/v1/text-to-speech/alloy", {"text": "Hello."}),
    ],
)
def test_speech_loads_it(unloaded: FlaskClient, path: str, body: object) -> None:
    with unloaded.post(path, json=body) as reply:
        assert reply.status_code == 200
        assert reply.data
    assert life(unloaded).state == "ready"
    assert life(unloaded).unload()  # nothing keeps it loaded


def test_a_load_that_fails_is_a_503_that_may_be_retried_and_is_not_charged(
    tone_settings: Settings,
) -> None:
    settings = replace(tone_settings, idle_unload=1e6, requests_per_minute=1)
    with running(settings) as client:
        life(client).unload()
        fail(client)
        for _ in range(2):  # the second is refused during the pause
            reply = client.post(SPEECH, json=GOOD)
            assert (reply.status_code, reply.get_json()["error"]["code"]) == (503, "engine_failed")
            assert 1 <= int(reply.headers["Retry-After"]) <= 5
            assert "x-should-retry" not in reply.headers
        assert client.get("/ready").status_code == 503
        assert context_of(client.application).limits.running == 0


def test_a_load_that_takes_too_long_is_a_503_engine_loading(tone_settings: Settings) -> None:
    settings = replace(tone_settings, idle_unload=1e6, idle_wait=0.01)
    with running(settings) as client:
        life(client).unload()
        choice, go = life(client)._choice, threading.Event()

        def start(settings: Settings) -> Engine:
            assert go.wait(20)
            return choice.spec.start(settings)

        replace_start(client, start)
        reply = client.post(SPEECH, json=GOOD)
        assert (reply.status_code, reply.get_json()["error"]["code"]) == (503, "engine_loading")
        assert reply.headers["Retry-After"] == "5"
        assert client.get("/ready").get_json()["engine"]["state"] == "waking"
        go.set()
