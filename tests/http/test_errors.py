"""Errors over HTTP: status, type, param and code, always in the envelope."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import started
from voxcpm_openai import Engine, EngineFailed, EngineStatus
from voxcpm_openai.app import create_app
from voxcpm_openai.lifecycle import EngineLifecycle
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine
from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
GOOD = {"model": "tts-1", "input": "Hello there."}


def error_of(reply: TestResponse) -> dict[str, str | None]:
    """Check the envelope and the headers of a response; return the error object."""
    assert reply.content_type == "application/json"
    body = reply.get_json()
    assert list(body) == ["error"]
    error: dict[str, str | None] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert reply.headers["x-request-id"]
    assert reply.headers["openai-version"] == "2020-10-01"
    return error


@pytest.mark.parametrize(
    ("change", "param", "says"),
    [
        ({"model": None}, "model", "is required"),
        ({"model": 7}, "model", "must be a string"),
        ({"model": "m" * 257}, "model", "at most 256"),
        ({"voice": "v" * 257}, "voice", "at most 256"),
        ({"input": None}, "input", "is required"),
        ({"input": ["a"]}, "input", "must be a string"),
        ({"input": ""}, "input", "1 to 4096 characters, and has 0"),
        ({"input": "  \n "}, "input", "1 to 4096 characters, and has 0"),
        ({"input": "a" * 4097}, "input", "1 to 4096 characters, and has 4097"),
        ({"input": "\ud83d\ude00\u2764\ufe0f"}, "input", "nothing that can be spoken"),
        ({"input": "half \ud83d"}, "input", "surrogate"),
        ({"input": "Привет мир"}, "input", "Cyrillic (П, р, и, в, е)"),
        ({"input": "Say 你好"}, "input", "VOXCPM_ENGINE=voxcpm"),
        ({"voice": "nobody"}, "voice", "There are: alloy"),
        ({"voice": {"id": "nobody"}}, "voice", "'nobody' does not exist"),
        ({"voice": {"name": "alloy"}}, "voice", "must be a voice's id"),
        ({"voice": 7}, "voice", "must be a voice's id"),
        ({"response_format": "mp4"}, "response_format", "mp3, opus, aac, flac, wav, pcm"),
        ({"speed": 0.2}, "speed", "from 0.25 to 4.0"),
        ({"speed": 4.1}, "speed", "from 0.25 to 4.0"),
        ({"speed": "fast"}, "speed", "from 0.25 to 4.0"),
        ({"speed": True}, "speed", "from 0.25 to 4.0"),
        ({"instructions": "a" * 4097}, "instructions", "at most 4096"),
        ({"stream_format": "websocket"}, "stream_format", "'audio' or 'sse'"),
        ({"seed": -2}, "seed", "-1 for a random one"),
        ({"seed": 1.5}, "seed", "whole number"),
        ({"sample_rate": 24001}, "sample_rate", "one of 8000"),
        ({"cfg_value": 0}, "cfg_value", "from 0.1 to 10"),
        ({"inference_steps": 1}, "inference_steps", "from 2 to 100"),
        ({"language": "english please"}, "language", "language code"),
    ],
)
def test_a_wrong_field_is_a_400_that_names_it(
    client: FlaskClient, change: dict[str, object], param: str, says: str
) -> None:
    body = json.dumps({**GOOD, **change})  # escapes half surrogate pairs, as clients do
    reply = client.post(SPEECH, data=body, content_type="application/json")
    error = error_of(reply)
    assert reply.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["code"] is None
    assert error["message"] is not None
    assert says in error["message"]


@pytest.mark.parametrize("field", ["model", "input"])
def test_a_missing_field_is_a_400_that_names_it(client: FlaskClient, field: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != field}
    reply = client.post(SPEECH, json=body)
    assert (reply.status_code, error_of(reply)["param"]) == (400, field)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[]", b'"text"', b"null", b"[" * 100_000, b'{"model": NaN'],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_not_a_json_object_is_a_400(client: FlaskClient, body: bytes) -> None:
    reply = client.post(SPEECH, data=body, content_type="application/json")
    error = error_of(reply)
    assert reply.status_code == 400
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)


def test_a_body_of_another_type_is_a_415(client: FlaskClient) -> None:
    reply = client.post(SPEECH, data="model=tts-1", content_type="text/plain")
    assert reply.status_code == 415
    assert error_of(reply)["type"] == "invalid_request_error"


def test_json_without_a_content_type_is_read(client: FlaskClient) -> None:
    assert client.post(SPEECH, data=json.dumps(GOOD)).status_code == 200


def test_a_body_that_is_too_large_is_a_413(client: FlaskClient) -> None:
    reply = client.post(SPEECH, data=b" " * 2_000_000, content_type="application/json")
    assert reply.status_code == 413
    assert error_of(reply)["type"] == "invalid_request_error"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_model_is_a_404_everywhere(client: FlaskClient, method: str) -> None:
    for reply in (
        client.post(SPEECH, json={**GOOD, "model": "whisper-1"}),
        client.open("/v1/models/whisper-1", method=method),
    ):
        error = error_of(reply)
        assert reply.status_code == 404
        assert error["type"] == "invalid_request_error"
        assert (error["param"], error["code"]) == ("model", "model_not_found")


def test_a_model_of_another_engine_is_a_404_that_says_how_to_get_it(client: FlaskClient) -> None:
    error = error_of(client.post(SPEECH, json={**GOOD, "model": "hibari"}))
    assert error["message"] is not None
    assert "VOXCPM_ENGINE=embedded" in error["message"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_voice_id_is_a_404(client: FlaskClient, method: str) -> None:
    reply = client.open("/v1/voices/nobody", method=method)
    error = error_of(reply)
    assert reply.status_code == 404
    assert (error["param"], error["code"]) == ("voice", "voice_not_found")


@pytest.mark.parametrize("path", ["/v1/voices/alloy", "/v1/models/tts-1"])
def test_built_in_voices_and_models_cannot_be_deleted(client: FlaskClient, path: str) -> None:
    # An empty body announced as JSON: clients send it so, and it must not be parsed.
    reply = client.delete(path, content_type="application/json")
    assert reply.status_code == 400
    assert "built in" in str(error_of(reply)["message"])


def test_a_voice_that_the_engine_cannot_use_is_cannot_clone(client: FlaskClient) -> None:
    reply = client.post(SPEECH, json={**GOOD, "voice": "mute"})
    error = error_of(reply)
    assert reply.status_code == 400
    assert (error["param"], error["code"]) == ("voice", "cannot_clone")


@pytest.mark.parametrize(
    "path", ["/page", "/v1", "/v1/audio", "/v1/audio/transcriptions", "/v1/readyz"]
)
def test_an_unknown_path_is_a_404(client: FlaskClient, path: str) -> None:
    reply = client.get(path)
    error = error_of(reply)
    assert reply.status_code == 404
    assert (error["param"], error["code"]) == (None, "unknown_url")
    assert path in str(error["message"])


def test_a_wrong_method_is_a_405_with_allow(client: FlaskClient) -> None:
    reply = client.get(SPEECH)
    assert reply.status_code == 405
    assert "POST" in reply.headers["Allow"]
    assert error_of(reply)["type"] == "invalid_request_error"


def test_an_error_of_the_engine_before_the_first_byte_keeps_its_status(client: FlaskClient) -> None:
    reply = client.post(SPEECH, json={**GOOD, "input": "fail-early"})
    assert reply.status_code == 503
    assert error_of(reply)["type"] == "server_error"


def test_an_engine_without_audio_is_an_error_and_not_an_empty_file(
    client: FlaskClient,
) -> None:
    reply = client.post(SPEECH, json={**GOOD, "input": "silent"})
    assert (reply.status_code, error_of(reply)["param"]) == (400, "input")


def test_an_unexpected_error_is_a_500_and_only_the_log_has_the_traceback(
    app: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(context_of(app).limits, "enter", broken)
    reply = app.test_client().post(SPEECH, json=GOOD)
    assert reply.status_code == 500
    assert error_of(reply)["type"] == "server_error"
    assert b"secret" not in reply.data
    assert "a secret detail" in caplog.text


def test_a_stream_beyond_the_limit_is_overloaded_with_a_retry_after(
    tone_settings: Settings,
) -> None:
    app = started(replace(tone_settings, max_streams=1))
    first = app.test_client().post(SPEECH, json=GOOD, buffered=False)
    reply = app.test_client().post(SPEECH, json=GOOD)
    error = error_of(reply)
    assert reply.status_code == 503
    assert (error["type"], error["code"]) == ("server_error", "overloaded")
    assert int(reply.headers["Retry-After"]) >= 1
    first.close()
    assert app.test_client().post(SPEECH, json=GOOD).status_code == 200


def test_while_the_engine_loads_only_speech_and_readiness_are_503(
    tone_settings: Settings,
) -> None:
    client = create_app(tone_settings).test_client()  # never started
    for reply in (client.post(SPEECH, json=GOOD), client.get("/ready")):
        assert reply.status_code == 503
        assert error_of(reply)["code"] == "engine_loading"
        assert int(reply.headers["Retry-After"]) >= 1
        assert "x-should-retry" not in reply.headers
    assert client.get("/health").get_json()["engine"] == {"name": "tone", "state": "loading"}
    assert client.get("/v1/models").status_code == 200


def test_an_engine_that_does_not_start_is_engine_failed_without_a_retry(
    tone_settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(tone_settings)
    engine = context_of(app).engine
    _start_with(engine, _fail, monkeypatch)
    with pytest.raises(EngineFailed):
        engine.wait(10)
    reply = app.test_client().post(SPEECH, json=GOOD)
    assert reply.status_code == 503
    assert error_of(reply)["code"] == "engine_failed"
    assert reply.headers["x-should-retry"] == "false"
    assert "no weights" in caplog.text


def _fail(settings: Settings) -> Engine:
    raise RuntimeError("no weights")


def test_an_engine_that_fails_after_its_start_makes_the_server_unready(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = context_of(app).engine.get()
    monkeypatch.setattr(engine, "status", lambda: EngineStatus(state="failed"))
    reply = app.test_client().get("/ready")
    assert (reply.status_code, error_of(reply)["code"]) == (503, "engine_failed")


def test_a_draining_server_refuses_new_requests_and_finishes_running_ones(app: Flask) -> None:
    client = app.test_client()
    running = client.post(SPEECH, json={**GOOD, "response_format": "pcm"}, buffered=False)
    context_of(app).engine.drain()
    reply = client.post(SPEECH, json=GOOD)
    assert (reply.status_code, error_of(reply)["code"]) == (503, "draining")
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
    assert len(running.data) == 3 * 3840 * 2


def test_an_engine_stopped_while_it_loads_is_stopped_once_it_has_loaded(
    tone_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = context_of(create_app(tone_settings)).engine
    stopped, go = threading.Event(), threading.Event()

    class SlowEngine(ToneEngine):
        def stop(self) -> None:
            stopped.set()

    def start(settings: Settings) -> SlowEngine:
        assert go.wait(10)
        return SlowEngine()

    _start_with(engine, start, monkeypatch)
    engine.stop()
    go.set()
    assert stopped.wait(10)


def _start_with(
    engine: EngineLifecycle, start: Callable[[Settings], Engine], patch: pytest.MonkeyPatch
) -> None:
    choice = engine._choice
    patch.setattr(engine, "_choice", replace(choice, spec=replace(choice.spec, start=start)))
    engine.start()
