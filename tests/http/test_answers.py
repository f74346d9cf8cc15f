"""Every answer has the headers that browsers obey, and none has a trace of the server's code."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

SECRET = "a secret detail"
SPEECH = {"model": "tone", "input": "Hello.", "voice": "sine"}


def calls(app: Flask) -> list[tuple[str, str]]:
    return [
        (method, re.sub(r"<[^>]+>", "x", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
    ]


def test_no_route_shows_a_trace(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError(SECRET)

    client = app.test_client()
    for endpoint in app.view_functions:
        monkeypatch.setitem(app.view_functions, endpoint, fail)
    for method, path in calls(app):
        if "stream-input" in path or path in {"/v1/realtime", "/v1/audio/speech/stream"}:
            continue  # a WebSocket's route: it answers what is no handshake before its view
        reply = client.open(path, method=method)
        assert reply.status_code == 500, path
        assert not re.search(rf"{SECRET}|Traceback|RuntimeError|File \"|\.py", reply.text)


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/nothing", "/metrics", "/v1/voices"])
def test_an_answer_is_taken_for_nothing_else_by_a_browser(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_audio_may_be_played_by_a_browser(client: FlaskClient) -> None:
    headers = client.post("/v1/audio/speech", json=SPEECH).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" not in headers
