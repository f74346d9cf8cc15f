"""Voices and consents over HTTP, for tests: what a client sends, and what it reads."""

from __future__ import annotations

import io
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support import ROOT
from voxcpm_openai import Engine
from voxcpm_openai.web.app_context import context_of

RECORDING = (ROOT / "voices" / "alloy.flac").read_bytes()

Headers = dict[str, str]

KEYS = ("jane's key", "john's key")
JANE: Headers = {"Authorization": "Bearer jane's key"}
JOHN: Headers = {"Authorization": "Bearer john's key"}
NOBODY: Headers = {}


def engine_of(client: FlaskClient) -> Any:
    engine: Engine = context_of(client.application).engine.get()
    return engine


def file(content: bytes = RECORDING, name: str = "me.flac") -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


def consent(client: FlaskClient, headers: Headers = NOBODY, name: str = "Jane") -> str:
    reply = client.post(
        "/v1/audio/voice_consents",
        data={"name": name, "language": "en-US", "recording": file()},
        headers=headers,
    )
    assert reply.status_code == 200, reply.text
    return str(reply.get_json()["id"])


def send(
    client: FlaskClient,
    headers: Headers = NOBODY,
    path: str = "/v1/audio/voices",
    **fields: Any,
) -> TestResponse:
    """Send a voice; fields that are None are left out."""
    form = {"name": "Jane", "audio_sample": file(), **fields}
    if "consent" not in form:
        form["consent"] = consent(client, headers)
    form = {name: value for name, value in form.items() if value is not None}
    return client.post(path, data=form, headers=headers, content_type="multipart/form-data")


def added(client: FlaskClient, headers: Headers = NOBODY, **fields: Any) -> str:
    reply = send(client, headers, **fields)
    assert reply.status_code == 200, reply.text
    return str(reply.get_json()["id"])


def speak(client: FlaskClient, voice: object, headers: Headers = NOBODY) -> TestResponse:
    body = {"model": "tts-1", "input": "Hello.", "voice": voice}
    return client.post("/v1/audio/speech", json=body, headers=headers)


def ids(client: FlaskClient, headers: Headers = NOBODY) -> set[str]:
    return set(client.get("/v1/voices?legacy=true", headers=headers).get_json()["voices"])


def error_of(reply: TestResponse) -> tuple[int, str | None, str | None]:
    error = reply.get_json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return reply.status_code, error["param"], error["code"]
