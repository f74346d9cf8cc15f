"""WebSockets of a live server: who may open one, how many there are, and what is no handshake."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import Server
from tests.support.raw_client import connect, read_reply, request, speech
from tests.support.socket_client import (
    ACCEPT,
    REALTIME,
    SocketClient,
    assert_quiet,
    encoded,
    handshake,
    until,
    until_idle,
)

TONE = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS)}
KEY = "sk-one"
ORIGIN = "https://pages.example"
SECRET = "An utterance that nobody may log."
"""A text that is spoken."""


@pytest.fixture(scope="module")
def started() -> Iterator[Server]:
    with Server(**TONE, max_sockets="2", max_streams="1") as made:
        yield made.wait_ready()
        assert_quiet(made, SECRET)


@pytest.fixture
def server(started: Server) -> Iterator[Server]:
    """The server; each test leaves it as it was."""
    yield started
    until_idle(started)


@pytest.fixture(scope="module")
def keyed() -> Iterator[Server]:
    with Server(**TONE, api_keys=KEY, cors_origins=ORIGIN) as started:
        yield started.wait_ready()
        until_idle(started)
        assert_quiet(started, SECRET, KEY)


def fields(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def refused(server: Server, sent: bytes) -> tuple[int, dict[str, str], dict[str, str | None]]:
    """Return the status, the headers and the error with which a handshake is refused."""
    with connect(server) as client:
        client.sendall(sent)
        head = client.recv(65536)
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        head, _, body = head.partition(b"\r\n\r\n")
        found = fields(head)
        while len(body) < int(found["content-length"]):
            body += client.recv(65536)
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return int(head.split()[1]), found, error


def test_a_handshake_is_answered_as_the_rfc_says(server: Server) -> None:
    with SocketClient(server) as client:
        assert client.head.startswith(b"HTTP/1.1 101 ")
        found = fields(client.head)
        assert found["upgrade"] == "websocket"
        assert found["connection"] == "upgrade"
        assert found["sec-websocket-accept"] == ACCEPT
        assert found["x-request-id"].startswith("req_")
        names = {"content-length", "transfer-encoding", "content-type", "sec-websocket-protocol"}
        assert not names & set(found)
        assert client.until("session.created")
        client.close()
        assert client.closed == (1000, "")


def test_a_socket_has_lines_in_the_log_for_its_start_its_texts_and_its_end(server: Server) -> None:
    with SocketClient(server) as client:
        id_ = fields(client.head)["x-request-id"]
        client.speak(SECRET)
        client.until("response.done")
        client.close()
    server.wait_for(lambda line: f"id={id_} socket=" in line and "code=1000" in line)
    lines = [line.partition("requests ")[2] for line in server.lines if id_ in line]
    begin, said, end = lines
    path = re.escape("/v1/realtime")
    assert re.fullmatch(
        rf"id={id_} method=GET path={path} route={path} status=101 ms=\d+ outcome=done", begin
    )
    count = len(SECRET)
    assert re.match(rf"id={id_} socket={path} model=\S+ .* characters={count} outcome=done ", said)
    assert SECRET not in "".join(lines)
    assert re.fullmatch(rf"id={id_} socket={path} ms=\d+ code=1000 characters={count}", end)


def test_a_request_before_it_and_messages_right_behind_it_are_answered(server: Server) -> None:
    event = encoded('{"type": "input_audio_buffer.clear"}')
    with connect(server) as plain:
        plain.sendall(request("GET", "/v1/models") + handshake() + event)
        data = b""
        while b"input_audio_buffer.cleared" not in data:
            data += (part := plain.recv(65536))
            assert part
    assert data.count(b"HTTP/1.1 200 ") == data.count(b"HTTP/1.1 101 ") == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upgrade": None}, 426),
        ({"Upgrade": "h2c"}, 426),
        ({"Connection": "keep-alive"}, 426),
        ({"Sec_WebSocket_Version": "12"}, 426),
        ({"Sec_WebSocket_Version": None}, 400),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Key": "dG9vIHNob3J0"}, 400),
        ({"Sec_WebSocket_Key": "!"}, 400),
        ({"Sec_WebSocket_Protocol": ",;,"}, 400),
        ({"Connection": "Upgrade, ;"}, 400),
        ({"version": "1.0"}, 426),
        ({"Origin": "http://["}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://localhost.example"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
    ],
    ids=str,
)
def test_what_is_no_handshake_gets_an_error_of_http(
    server: Server, headers: dict[str, str | None], status: int
) -> None:
    found, answer, error = refused(server, handshake(**headers))
    assert found == status, error
    if status == 426:
        assert answer["upgrade"] == "websocket"
        assert answer["sec-websocket-version"] == "13"
    assert server.ready()["sockets"]["open"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", REALTIME, 405),
        ("DELETE", REALTIME, 405),
        ("GET", "/v1/audio/speech", 405),
        ("GET", "/v1/models", 400),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/realtime/more", 404),
    ],
)
def test_a_socket_at_another_url_or_by_another_method_is_refused(
    server: Server, method: str, path: str, status: int
) -> None:
    sent = handshake(path).replace(b"GET", method.encode(), 1)
    assert refused(server, sent)[0] == status


def test_head_opens_no_socket(server: Server) -> None:
    with connect(server) as client:
        client.sendall(handshake().replace(b"GET", b"HEAD", 1))
        assert client.recv(13) == b"HTTP/1.1 426 "


def test_one_socket_too_many_is_told_when_to_come_again(server: Server) -> None:
    with ExitStack() as stack:
        first, _ = (stack.enter_context(SocketClient(server)) for _ in range(2))
        until(lambda: server.ready()["sockets"]["open"] == 2)
        assert server.ready()["sockets"]["limit"] == 2
        with SocketClient(server) as third:
            (error,) = third.rest()
            assert (error["type"], error["error"]["code"]) == ("error", "overloaded")
            assert third.closed is not None
            code, reason = third.closed
            assert code == 1013
            assert re.match(r"Try again in \d+ s\. ", reason)
        first.close()
        until(lambda: server.ready()["sockets"]["open"] == 1)
        with SocketClient(server) as fourth:
            fourth.until("session.created")
    until_idle(server)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"xi_api_key": KEY},
        {"Sec_WebSocket_Protocol": f"realtime, openai-insecure-api-key.{KEY}"},
    ],
    ids=["authorization", "xi-api-key", "subprotocol"],
)
def test_a_key_opens_a_socket(keyed: Server, headers: dict[str, str | None]) -> None:
    with SocketClient(keyed, **headers) as client:
        chosen = "realtime" if "Sec_WebSocket_Protocol" in headers else None
        assert fields(client.head).get("sec-websocket-protocol") == chosen
        client.until("session.created")
        client.speak(SECRET)
        assert client.until("response.done")[-1]["response"]["status"] == "completed"
        client.close()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),
        ({"Authorization": "Bearer wrong"}, "invalid_api_key"),
        ({"xi_api_key": "wrong"}, "invalid_api_key"),
        ({"Sec_WebSocket_Protocol": "realtime, openai-insecure-api-key.no"}, "invalid_api_key"),
    ],
    ids=str,
)
def test_without_a_valid_key_the_error_is_a_message_that_browsers_can_read(
    keyed: Server, headers: dict[str, str | None], code: str | None
) -> None:
    with SocketClient(keyed, **headers) as client:
        client.speak(SECRET)
        (error,) = client.rest()
        assert error["type"] == "error"
        assert error["error"]["code"] == code
        assert client.closed is not None
        assert client.closed[0] == 1008
    until(lambda: "code=1008" in keyed.lines[-1] or keyed.ready()["sockets"]["open"] == 0)


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost", "HTTP://LOCALHOST"])
def test_pages_of_this_server_and_of_configured_origins_may(keyed: Server, origin: str) -> None:
    with SocketClient(keyed, Origin=origin, Authorization=f"Bearer {KEY}") as client:
        client.until("session.created")


def test_pages_of_other_servers_may_not(keyed: Server) -> None:
    sent = handshake(Origin="https://other.example", Authorization=f"Bearer {KEY}")
    status, _, error = refused(keyed, sent)
    assert (status, error["code"]) == (403, "origin_not_allowed")
    assert "VOXCPM_CORS_ORIGINS" in str(error["message"])


def test_with_all_places_taken_by_sessions_requests_are_refused_and_the_other_way_round(
    server: Server,
) -> None:
    with SocketClient(server) as client:
        client.speak("hang-late")
        client.until("response.output_audio.delta")
        with connect(server) as other:
            other.sendall(speech("Hello."))
            assert read_reply(other)[0] == 503
        client.close()
    until_idle(server)
    with connect(server) as other, SocketClient(server) as client:
        other.sendall(speech("hang-late"))
        assert other.recv(12) == b"HTTP/1.1 200"
        client.speak("Hello.")
        done = client.until("response.done")[-1]["response"]
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"] == "overloaded"
        client.close()
    until_idle(server)
