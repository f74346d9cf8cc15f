"""What gunicorn refuses before a request exists: its status, its envelope, its log line."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest
from gunicorn.http import errors

from voxcpm_openai.server.worker import Worker


def answer(error: Exception) -> tuple[str, dict[str, str], dict[str, str | None]]:
    """Return the status line, the headers and the error with which a connection is refused."""
    ours, theirs = socket.socketpair()
    worker: Any = Worker
    with ours, theirs:
        worker.handle_error(None, None, ours, None, error)
        ours.shutdown(socket.SHUT_WR)
        with theirs.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return status, headers, json.loads(body)["error"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.LimitRequestLine(9000, 8190), "HTTP/1.1 414 "),
        (errors.LimitRequestHeaders("too many"), "HTTP/1.1 431 "),
        (errors.ExpectationFailed("100-maybe"), "HTTP/1.1 417 "),
        (errors.UnsupportedTransferCoding("br"), "HTTP/1.1 501 "),
        (errors.ForbiddenProxyRequest("10.0.0.1"), "HTTP/1.1 403 "),
        (errors.InvalidRequestMethod("GE T"), "HTTP/1.1 400 "),
        (RuntimeError("a secret"), "HTTP/1.1 500 "),
    ],
)
def test_a_refusal_has_its_status_and_the_envelope(error: Exception, status: str) -> None:
    line, headers, content = answer(error)
    assert line.startswith(status)
    assert headers["connection"] == "close"
    assert headers["x-request-id"].startswith("req_")
    assert set(content) == {"message", "type", "param", "code"}
    server = line.split()[1].startswith("5")
    assert content["type"] == ("server_error" if server else "invalid_request_error")
    assert "secret" not in str(content)


def test_a_fault_of_the_server_is_logged_with_its_trace_and_a_clients_without(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="voxcpm_openai"):
        _, headers, _ = answer(RuntimeError("a secret"))
        answer(errors.LimitRequestLine(9000, 8190))
    server, client = caplog.records
    assert (server.levelname, client.levelname) == ("ERROR", "INFO")
    assert server.exc_info is not None
    assert "a secret" in str(server.exc_info[1])
    assert headers["x-request-id"] in server.getMessage()
    assert not client.exc_info


def test_a_client_who_has_left_breaks_nothing() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    worker: Any = Worker
    with ours:
        worker.handle_error(None, None, ours, None, errors.LimitRequestLine(9000, 8190))
