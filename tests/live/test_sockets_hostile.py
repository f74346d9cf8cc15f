"""Clients of WebSockets that vanish, send garbage, send too much or read nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from websockets.frames import Opcode

from tests.support import TONE_PLUGINS
from tests.support.live_server import Server
from tests.support.raw_client import connect, read_all, speech
from tests.support.socket_client import (
    SocketClient,
    assert_quiet,
    encoded,
    frame,
    named,
    threads,
    until,
    until_idle,
)

SPEAKS = "hang-late and an utterance that nobody may log."
LONG = "A sentence with many words. " * 600
"""19 MB of events, more than the buffers of sockets hold."""
THREADS = 17
"""Of requests: one stream and 16."""
MB = 1024 * 1024


@pytest.fixture(scope="module")
def started() -> Iterator[Server]:
    settings = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS), "max_streams": "1"}
    settings |= {"send_timeout": "2", "max_input_chars": "20000"}
    with Server(**settings) as made:
        is_well(made.wait_ready())
        most = threads(made) + THREADS
        yield made
        until(lambda: threads(made) <= most)
        assert_quiet(made, "nobody may log", "many words")


@pytest.fixture
def server(started: Server) -> Iterator[Server]:
    """The server; each test leaves it as it was."""
    yield started
    until_idle(started)


def is_well(server: Server) -> None:
    """A request and a socket are served."""
    with connect(server) as client:
        client.sendall(speech("Hello."))
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
    with SocketClient(server) as client:
        client.speak("Hello.")
        done = client.until("response.done")[-1]
        assert done["response"]["status"] == "completed"
        client.close()


def nothing_is_left(server: Server) -> None:
    until_idle(server)
    is_well(server)


def say_and_drop(client: SocketClient) -> None:
    """End without a closing handshake."""
    client.raw.close()


@pytest.mark.parametrize(
    "leave", [SocketClient.close, SocketClient.reset, say_and_drop], ids=["close", "reset", "end"]
)
@pytest.mark.parametrize("text", ["hang", SPEAKS, LONG], ids=["before", "within", "long"])
def test_a_client_that_leaves_in_the_middle_of_speech_leaves_nothing(
    server: Server, leave: Callable[[SocketClient], None], text: str
) -> None:
    with SocketClient(server) as client:
        client.speak(text)
        client.until("response.created" if text == "hang" else "response.output_audio.delta")
        until(lambda: text == LONG or server.ready()["streams"]["running"] == 1)
        leave(client)
        nothing_is_left(server)


@pytest.mark.parametrize("count", [1, 40])
def test_clients_that_leave_at_once_leave_nothing(server: Server, count: int) -> None:
    for number in range(count):
        with SocketClient(server) as client:
            client.speak(SPEAKS)
            client.reset() if number % 2 else client.raw.close()
    nothing_is_left(server)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (os.urandom(100_000).replace(b"\x81", b"\x83"), None),
        (b"\x16\x03\x01\x02\x00\x01\x00" * 10, 1002),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1002),
        (b"\x81\x05Hello", 1002),
        (frame(Opcode.TEXT, b"\xff\xfe"), 1007),
        (frame(Opcode.TEXT, b"x" * MB), 1009),
        (frame(Opcode.TEXT, b"x" * 300_000, fin=False) + frame(Opcode.CONT, b"x" * 300_000), 1009),
        (b"\x82\xff\x00\xff\xff\xff\xff\xff\xff\xff" + bytes(4), 1009),
    ],
    ids=["random", "tls", "http", "no mask", "no utf-8", "large", "parts", "huge"],
)
def test_garbage_closes_with_the_code_of_the_fault(
    server: Server, data: bytes, code: int | None
) -> None:
    with SocketClient(server) as client:
        client.until("session.created")
        client.raw.sendall(data)
        assert client.rest() == []
        assert client.closed is not None
        assert code in (None, client.closed[0])
    nothing_is_left(server)


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\xff",
        "",
        "{",
        "[]",
        "null",
        '{"type": 1}',
        '{"type": "response.create", "response": {"input": "x"}}',
        '{"type": "session.update", "session": null}',
        '{"type": "conversation.item.create", "item": {"content": [1]}}',
        '{"type": "conversation.item.delete", "item_id": ["x"]}',
        '{"type": "conversation.item.truncate", "item_id": {}, "audio_end_ms": NaN}',
        '{"a": 1e999}',
        '{"type": "\\ud800"}',
        '{"a": ' * 5000,
        '{"type": "x", "type": "y"}',
    ],
    ids=lambda message: repr(message[:60]),
)
def test_a_message_that_is_wrong_is_an_error_and_the_next_one_is_answered(
    server: Server, message: str | bytes
) -> None:
    with SocketClient(server) as client:
        client.until("session.created")
        client.send(message)
        (error,) = client.until("error")
        assert set(error["error"]) == {"message", "type", "param", "code", "event_id"}
        client.send_event("input_audio_buffer.clear")
        client.until("input_audio_buffer.cleared")
        client.close()


@pytest.mark.parametrize(
    "half",
    [b"", b"\x81", encoded("x" * 500)[:-1], frame(Opcode.TEXT, b"x", fin=False)],
    ids=named,
)
def test_sockets_that_send_half_a_message_and_then_nothing_hold_no_thread_of_requests(
    server: Server, half: bytes
) -> None:
    with ExitStack() as stack:
        for _ in range(3 * THREADS):
            client = stack.enter_context(SocketClient(server))
            client.raw.sendall(half)
        is_well(server)
        until(lambda: server.ready()["sockets"]["open"] == 3 * THREADS)
    nothing_is_left(server)


def test_a_client_that_reads_nothing_is_dropped_and_others_do_not_notice(server: Server) -> None:
    server.lines.clear()
    with SocketClient(server, receive_buffer=4096) as client:
        client.speak(LONG)
        client.until("response.output_audio.delta")
        until(lambda: server.ready()["streams"]["running"] == 0)  # all of it is made
        is_well(server)
        line = server.wait_for(lambda line: "took nothing" in line)
        assert " INFO " in line
        until(lambda: server.ready()["sockets"]["open"] == 0)
        with pytest.raises((ConnectionResetError, AssertionError)):
            client.until("response.done")
    line = server.wait_for(lambda line: "code=1006 " in line)
    nothing_is_left(server)


def memory(server: Server) -> int:
    """Return the memory of the worker, in bytes."""
    pid = server.ready()["workers"][0]["pid"]
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


UNKNOWN = encoded('{"type": "x"}')
FLOODS = {
    "messages": UNKNOWN * 1000,
    "pings": frame(Opcode.PING, b"x" * 125) * 500,
    "empty fragments": frame(Opcode.CONT, b"", fin=False) * 10_000,
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_costs_no_memory_and_stops_nobody(server: Server, kind: str) -> None:
    """The server answers each; the client takes the answers, but not as fast as it could."""
    before = memory(server)
    with SocketClient(server) as client:
        client.speak(SPEAKS)
        client.until("response.output_audio.delta")
        if kind == "empty fragments":
            client.raw.sendall(frame(Opcode.TEXT, b"x", fin=False))
        client.raw.setblocking(False)
        sent, data = 0, memoryview(FLOODS[kind] * 10)
        while sent < 3 * MB:
            try:
                sent += client.raw.send(data[sent % len(data) :][:50_000])
            except BlockingIOError:  # full: that is what bounds the memory
                break
            if sent % 10 == 0:
                assert server.ready()["sockets"]["open"] >= 1
        assert memory(server) < before + 60 * MB
        client.reset()
    nothing_is_left(server)


def test_a_client_that_floods_and_reads_nothing_is_not_read_either(server: Server) -> None:
    """Its messages wait with it, and it is dropped when it has taken nothing for long."""
    before = memory(server)
    with SocketClient(server, receive_buffer=4096) as client:
        client.raw.settimeout(10)
        with suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(1000):
                client.raw.sendall(FLOODS["messages"])
            raise AssertionError("it took all")
        assert memory(server) < before + 60 * MB
    nothing_is_left(server)


def test_many_texts_at_once_are_answered_each(server: Server) -> None:
    with SocketClient(server) as client:
        for _ in range(30):
            client.speak("Hello.")
        client.send(json.dumps({"type": "input_audio_buffer.clear"}))
        found = client.until("input_audio_buffer.cleared")
        begun = sum(event["type"] == "response.created" for event in found)
        errors = sum(event["type"] == "error" for event in found)
        assert begun + errors == 30
        done = [event for event in found if event["type"] == "response.done"]
        while len(done) < begun:
            done += client.until("response.done")[-1:]
        client.close()
    nothing_is_left(server)
