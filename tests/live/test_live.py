"""Behaviour of a live gunicorn: streaming, disconnects, late errors, limits, shutdown."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import Server

SPEECH = "/v1/audio/speech"
CHUNK_BYTES = 3840 * 2


@contextmanager
def requested(
    server: Server, text: str, **fields: object
) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    """Send a speech request; yield the connection, nothing read yet, and the request's id."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    request_id = f"test-{uuid.uuid4().hex}"
    body = {"model": "tone", "input": text, "response_format": "pcm", **fields}
    headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
    with closing(connection):
        connection.request("POST", SPEECH, json.dumps(body), headers)
        yield connection, request_id


def log_line(server: Server, request_id: str) -> str:
    return server.wait_for(lambda line: f"id={request_id}" in line)


def hanging(server: Server, count: int) -> None:
    """Wait until n streams hang in the engine."""
    for _ in range(2000):
        if server.ready()["engine"]["details"]["hanging"] == count:
            return
    raise AssertionError(server.ready())


def raw(server: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        reply = b""
        while chunk := client.recv(65536):
            reply += chunk
    return reply


def test_the_first_chunk_arrives_while_the_engine_still_synthesizes(tone_server: Server) -> None:
    with requested(tone_server, "hang-late") as (connection, request_id):
        reply = connection.getresponse()
        assert reply.status == 200
        assert reply.getheader("Transfer-Encoding") == "chunked"
        assert len(reply.read1(CHUNK_BYTES)) > 0
        assert tone_server.ready()["streams"]["running"] == 1
    log_line(tone_server, request_id)


def test_a_disconnect_during_the_audio_stops_the_work(tone_server: Server) -> None:
    with requested(tone_server, "hang-late") as (connection, request_id):
        connection.getresponse().read1(CHUNK_BYTES)
        hanging(tone_server, 1)
    assert "outcome=cancelled" in log_line(tone_server, request_id)
    assert tone_server.ready()["engine"]["streams"] == 0
    assert tone_server.ready()["streams"]["running"] == 0


def test_a_disconnect_while_nothing_is_written_stops_the_work(tone_server: Server) -> None:
    with requested(tone_server, "hang") as (_, request_id):
        hanging(tone_server, 1)
    assert "status=499" in log_line(tone_server, request_id)
    assert tone_server.ready()["engine"]["streams"] == 0
    assert tone_server.ready()["streams"]["running"] == 0


def test_a_late_error_breaks_the_connection(tone_server: Server) -> None:
    with requested(tone_server, "fail-late") as (connection, request_id):
        reply = connection.getresponse()
        assert reply.status == 200
        with pytest.raises(http.client.IncompleteRead):
            reply.read()
    assert "outcome=failed code=synthesis_failed" in log_line(tone_server, request_id)


def test_a_stream_beyond_the_limit_is_refused_and_probes_still_work(tone_server: Server) -> None:
    with ExitStack() as clients:
        for _ in range(4):
            clients.enter_context(requested(tone_server, "hang"))
        hanging(tone_server, 4)
        connection, _ = clients.enter_context(requested(tone_server, "Hello."))
        reply = connection.getresponse()
        assert reply.status == 503
        assert int(reply.headers["Retry-After"]) >= 1
        assert json.load(reply)["error"]["code"] == "overloaded"
        assert tone_server.ready()["streams"] == {"running": 4, "limit": 4}
    hanging(tone_server, 0)
    with requested(tone_server, "Hello.") as (connection, _):
        assert connection.getresponse().status == 200


def test_one_connection_serves_many_requests(tone_server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", tone_server.port, timeout=20)
    with closing(connection):
        ports = set()
        for _ in range(3):
            body = json.dumps({"model": "tone", "input": "Hello.", "response_format": "pcm"})
            connection.request("POST", SPEECH, body, {"Content-Type": "application/json"})
            assert len(connection.getresponse().read()) == 3 * CHUNK_BYTES
            ports.add(connection.sock.getsockname()[1])
        assert len(ports) == 1


def test_a_chunked_request_body_is_read(tone_server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", tone_server.port, timeout=20)
    with closing(connection):
        pieces = iter([b'{"model": "tone", ', b'"input": "Hello."}'])
        headers = {"Content-Type": "application/json"}
        connection.request("POST", SPEECH, pieces, headers, encode_chunked=True)
        assert connection.getresponse().status == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n", 400),
    ],
    ids=["uri", "header", "nonsense", "version", "name"],
)
def test_gunicorns_own_errors_are_in_the_envelope(
    tone_server: Server, request_bytes: bytes, status: int
) -> None:
    head, _, body = raw(tone_server, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/json" in head
    assert b"x-request-id: req_" in head
    assert b"openai-version: 2020-10-01" in head
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


def test_the_ready_line_names_engine_voices_models_and_a_curl(tone_server: Server) -> None:
    line = tone_server.wait_for(lambda line: " ready at http" in line)
    for word in ("engine tone", "alloy", "tts-1", f"curl {tone_server.url}/v1/audio/speech"):
        assert word in line


def test_a_shutdown_lets_running_streams_finish() -> None:
    with Server(engine="tone", plugins_dir=str(TONE_PLUGINS)) as server:
        server.wait_ready()
        with requested(server, "Hello. " * 200) as (connection, _):
            reply = connection.getresponse()
            first = reply.read1(100)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for(lambda line: "Handling signal: term" in line)
            assert len(first + reply.read()) == 200 * 3 * CHUNK_BYTES
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "0.0.0.0"}, "VOXCPM_API_KEYS, or VOXCPM_ALLOW_OPEN=1"),
        ({"workers": "many"}, "VOXCPM_WORKERS = 'many': Not a valid integer, nor auto."),
        ({"engine": "nobody"}, "VOXCPM_ENGINE = 'nobody': there is no such engine"),
        ({"default_voice": "nobody"}, "VOXCPM_DEFAULT_VOICE = 'nobody'"),
    ],
)
def test_a_server_that_cannot_start_logs_the_reason_in_one_line(
    settings: dict[str, str], message: str
) -> None:
    with Server(**settings) as server:
        assert message in server.wait_for(lambda line: "cannot start" in line)
        assert server.process.wait(30) != 0
    assert not any("Traceback" in line for line in server.lines)
