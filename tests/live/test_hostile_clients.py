"""Slow, silent, vanished and hostile clients: each costs a connection, none a thread."""

from __future__ import annotations

import json
import resource
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import Server
from tests.support.raw_client import connect, crowd, read_all, read_reply, request, speech

STREAMS = 4
CROWD = 40
"""More than the threads of the server: 4 streams and 16."""
MB = 1024 * 1024
LONG = "A sentence with many words. " * 600
"""14 MB of audio, more than the buffers of sockets hold."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {
        "engine": "tone",
        "plugins_dir": str(TONE_PLUGINS),
        "max_streams": str(STREAMS),
        "head_timeout": "2",
        "body_timeout": "2",
        "send_timeout": "3",
        "max_input_chars": "20000",
    }
    with Server(**settings) as started:
        yield started.wait_ready()


def message(body: bytes) -> str:
    return str(json.loads(body)["error"]["message"])


def is_well(server: Server) -> None:
    """A speech request is served."""
    with connect(server) as client:
        client.sendall(speech("Hello."))
        assert read_all(client).startswith(b"HTTP/1.1 200 ")


HEAD = request("POST", "/v1/audio/speech", Content_Length="100", Content_Type="application/json")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/aud",
        HEAD[:-2],
        HEAD,
        HEAD + b'{"model":',
        request("POST", "/v1/audio/speech", Transfer_Encoding="chunked") + b"5\r\nhal",
    ],
    ids=["nothing", "half a line", "half a head", "no body", "half a body", "half a chunk"],
)
def test_clients_that_stop_in_mid_request_hold_no_thread(server: Server, sent: bytes) -> None:
    with crowd(server, CROWD, sent) as clients:
        is_well(server)
        answer = read_all(clients[0])
        assert answer == b"" if not sent else answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_sends_a_byte_now_and_then_does_not_get_longer_for_its_head(
    server: Server,
) -> None:
    with connect(server) as client:
        client.settimeout(0.5)
        for byte in request("GET", "/health", X_Long="x" * 100):
            client.send(bytes([byte]))
            try:
                answer = client.recv(65536)
            except TimeoutError:
                continue
            break
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_tls_hello_is_answered_at_once(server: Server) -> None:
    with connect(server) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        status, body = read_reply(client)
    assert status == 400
    assert "http, not https" in message(body)


@pytest.mark.parametrize(
    ("path", "type_", "size", "status"),
    [
        ("/v1/audio/speech", "application/json", 30 * MB, 413),
        ("/v1/audio/voices", "multipart/form-data; boundary=x", 24 * MB, 413),
        ("/v1/audio/voices", "text/plain", 11 * MB, 415),
        ("/v1/nothing", "application/json", 60 * MB, 404),
        ("/v1/audio/speech", "application/json", 2 * MB, 413),
    ],
)
def test_a_refusal_is_readable_before_and_after_a_large_body(
    server: Server, path: str, type_: str, size: int, status: int
) -> None:
    with connect(server) as client:
        client.sendall(request("POST", path, Content_Length=str(size), Content_Type=type_))
        block = b"x" * MB
        for _ in range(size // MB):
            client.sendall(block)
        found, body = read_reply(client)
    assert found == status, body


def test_a_chunked_body_over_the_limit_is_a_413(server: Server) -> None:
    with connect(server) as client:
        head = {"Transfer_Encoding": "chunked", "Content_Type": "application/json"}
        client.sendall(request("POST", "/v1/audio/speech", **head))
        block = b"%x\r\n" % MB + b"x" * MB + b"\r\n"
        for _ in range(30):
            client.sendall(block)
        client.sendall(b"0\r\n\r\n")
        assert read_reply(client)[0] == 413


def test_continue_is_sent_for_a_body_that_is_wanted(server: Server) -> None:
    body = json.dumps({"model": "tone", "input": "Hi."}).encode()
    head = {"Expect": "100-continue", "Content_Type": "application/json"}
    with connect(server) as client:
        client.sendall(request("POST", "/v1/audio/speech", Content_Length=str(len(body)), **head))
        assert client.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert client.recv(12) == b"HTTP/1.1 200"
    with connect(server) as client:
        client.sendall(request("POST", "/v1/audio/speech", Content_Length=str(99 * MB), **head))
        assert client.recv(12) == b"HTTP/1.1 413"


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    last = request("GET", "/health", Connection="close")
    with connect(server) as client:
        client.sendall(request("GET", "/v1/models") + request("GET", "/none") + last)
        answers = read_all(client)
    statuses = [part.split()[0] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404", b"200"]


def test_a_request_that_comes_byte_by_byte_is_served(server: Server) -> None:
    with connect(server) as client:
        for byte in speech("Hi."):
            client.send(bytes([byte]))
        assert read_all(client).endswith(b"0\r\n\r\n")


def test_slow_readers_leave_their_places_and_get_the_whole(server: Server) -> None:
    wanted = speech(LONG, response_format="wav")
    with crowd(server, 0, b"") as clients:
        for _ in range(3 * STREAMS):  # more than there are places
            clients.append(connect(server, receive_buffer=4096))
            clients[-1].sendall(wanted)
            clients[-1].recv(12)
            wait_for_streams(server, 0)
        is_well(server)
        assert len(read_all(clients[-1])) > 10 * MB
        for client in clients:
            client.close()


def wait_for_streams(server: Server, count: int) -> None:
    for _ in range(2000):
        if server.ready()["streams"]["running"] == count:
            return
    raise AssertionError(server.ready())


def test_a_client_that_takes_nothing_is_dropped(server: Server) -> None:
    server.lines.clear()
    with connect(server, receive_buffer=4096) as client:
        client.sendall(speech(LONG, response_format="wav"))
        server.wait_for(lambda line: "took nothing" in line)
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert read_all(client).endswith(b"0\r\n\r\n")


def test_probes_are_answered_while_all_threads_are_busy(server: Server) -> None:
    hold = speech("hang")
    with ExitStack() as stack:
        stack.enter_context(crowd(server, STREAMS, hold))
        stack.enter_context(crowd(server, 200, b""))
        reply = stack.enter_context(urllib.request.urlopen(f"{server.url}/health", timeout=5))
        assert reply.status == 200
    wait_for_streams(server, 0)


def test_a_cut_shows_in_http_1_0(server: Server) -> None:
    with connect(server) as client:
        client.sendall(speech("Hello.", "1.0"))
        whole = read_all(client)
        assert b"Connection: close" in whole
    with connect(server) as client:
        client.sendall(speech("fail-late", "1.0"))
        with pytest.raises(ConnectionResetError):
            read_all(client)


def test_without_file_handles_new_clients_are_still_served(server: Server) -> None:
    pid = server.ready()["workers"][0]["pid"]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 24, limits[1]))
    try:
        with crowd(server, CROWD, b""):
            assert server.ready()["workers"][0]["pid"] == pid
            is_well(server)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    server.wait_for(lambda line: "connections from now on" in line)


def test_the_server_is_still_well(server: Server) -> None:
    wait_for_streams(server, 0)
    assert server.process.poll() is None
    assert not any("unexpected error" in line for line in server.lines), "\n".join(server.lines)
