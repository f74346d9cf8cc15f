"""Errors that no view raises on purpose: those of the framework, and unexpected ones."""

from __future__ import annotations

import logging

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient

from voxcpm_openai.app import create_app
from voxcpm_openai.settings import Settings

SPEECH = "/v1/audio/speech"


@pytest.fixture
def failing(tone_settings: Settings) -> FlaskClient:
    """A client of an app with routes that fail."""
    app: Flask = create_app(tone_settings)

    @app.get("/bug")
    def bug() -> str:
        raise RuntimeError("a secret detail")

    @app.get("/abort/<int:status>")
    def fail(status: int) -> str:
        abort(status, description="In these words.")

    return app.test_client()


def error(client: FlaskClient, path: str, method: str = "GET") -> tuple[int, dict[str, str | None]]:
    reply = client.open(path, method=method)
    content = reply.get_json()["error"]
    assert set(content) == {"message", "type", "param", "code"}
    return reply.status_code, content


def test_an_unknown_url_is_named_and_has_its_own_code(failing: FlaskClient) -> None:
    status, content = error(failing, "/v1/nothing", "POST")
    assert (status, content["code"]) == (404, "unknown_url")
    assert content["message"] == "Unknown URL: POST /v1/nothing."


def test_a_wrong_method_is_named_with_the_allowed_ones(failing: FlaskClient) -> None:
    status, content = error(failing, SPEECH)
    assert (status, content["code"], content["type"]) == (405, None, "invalid_request_error")
    assert content["message"] == f"{SPEECH} does not take GET. It takes: OPTIONS, POST."


@pytest.mark.parametrize(
    ("status", "type_"),
    [(400, "invalid_request_error"), (403, "invalid_request_error"), (502, "server_error")],
)
def test_errors_of_the_framework_keep_their_status_and_message(
    failing: FlaskClient, status: int, type_: str
) -> None:
    assert error(failing, f"/abort/{status}") == (
        status,
        {"message": "In these words.", "type": type_, "param": None, "code": None},
    )


def test_an_unexpected_error_is_logged_and_the_response_refers_to_the_log(
    failing: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status, content = error(failing, "/bug")
    assert (status, content["type"]) == (500, "server_error")
    assert "log" in str(content["message"])
    assert "secret" not in str(content)
    (record,) = caplog.records
    assert "GET /bug" in record.getMessage()
    assert record.exc_info is not None
    assert "a secret detail" in str(record.exc_info[1])


@pytest.mark.parametrize(
    ("body", "logged"),
    [
        ({"model": "tone"}, "param=input code=-"),
        ({"model": "none", "input": "x"}, "param=model code=model_not_found"),
    ],
)
def test_the_access_log_of_a_refusal_has_its_param_and_code(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, body: dict[str, str], logged: str
) -> None:
    with caplog.at_level(logging.INFO, logger="voxcpm_openai.requests"):
        client.post(SPEECH, json=body).close()  # closing writes the log line
    assert all(fact in caplog.text for fact in logged.split())
