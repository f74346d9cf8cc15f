"""WebSockets when a server stops, reloads, loses a worker, speaks TLS, has several workers."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import Server
from tests.support.raw_client import connect, read_all, read_reply, speech
from tests.support.socket_client import SocketClient, assert_quiet, until, until_idle

TONE = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS), "log_level": "debug"}
CHUNKS = 40
"""Chunks of a paced text."""
CHUNK = 3840 * 2
STOPPING = (1001, "The server is stopping.")

ENDED = re.compile("socket=.* code=")
"""The line of a socket that has ended has its close code; those of its texts have none."""


@pytest.fixture
def pace(tmp_path: Path) -> Path:
    """The file that paces streams: none may go on."""
    file = tmp_path / "pace"
    file.touch()
    return file


@pytest.fixture
def server(pace: Path) -> Iterator[Server]:
    with Server(**TONE, tone_pace=str(pace), max_streams="2") as started:
        yield started.wait_ready()


def begin(client: SocketClient, pace: Path) -> None:
    """Let a client hear the first chunk of a text, which goes no further."""
    pace.write_bytes(b".")
    client.speak("paced")
    client.until("response.output_audio.delta")


def goes_on_to_its_end(client: SocketClient, pace: Path) -> None:
    pace.write_bytes(b"." * CHUNKS)
    events = client.rest()
    assert sum(event["type"] == "response.output_audio.delta" for event in events) >= CHUNKS - 1
    assert events[-1]["type"] == "response.done"
    assert events[-1]["response"]["status"] == "completed"
    assert client.closed == STOPPING


def test_a_stopping_server_sends_what_it_says_to_its_end_and_closes_what_is_silent(
    server: Server, pace: Path
) -> None:
    with SocketClient(server) as speaking, SocketClient(server) as idle:
        idle.until("session.created")
        begin(speaking, pace)
        server.process.terminate()
        assert idle.rest() == []
        assert idle.closed == STOPPING
        with SocketClient(server) as late:
            (error,) = late.rest()
            assert error["error"]["code"] == "draining"
            assert late.closed is not None
            assert late.closed[0] == 1013
        speaking.speak("More.")
        (error,) = speaking.until("error")
        assert error["error"]["code"] == "draining"
        assert server.process.poll() is None
        goes_on_to_its_end(speaking, pace)
    assert server.stop() == 0
    assert_quiet(server, "paced")


def test_a_slow_reader_gets_all_from_a_server_that_stops(server: Server) -> None:
    """Also if it sends something meanwhile: a connection that is closed would be reset."""
    text = "A sentence with many words. " * 140
    with SocketClient(server, receive_buffer=4096) as client:
        client.speak(text)
        client.until("response.output_audio.delta")
        until(lambda: server.ready()["streams"]["running"] == 0)
        server.process.terminate()
        server.wait_for(lambda line: "Worker exiting" in line or ENDED.search(line) is not None)
        client.send_event("input_audio_buffer.clear")
        events = client.rest()
        assert events[-1]["type"] == "response.done"
        assert client.closed == STOPPING
    assert server.stop() == 0
    assert_quiet(server, "many words")


def test_a_reload_lets_speech_end_and_sends_the_others_to_the_new_worker(
    server: Server, pace: Path
) -> None:
    (old,) = server.ready()["workers"]
    with SocketClient(server) as speaking, SocketClient(server) as idle:
        idle.until("session.created")
        begin(speaking, pace)
        server.process.send_signal(signal.SIGHUP)
        opened = 0
        while idle.closed is None:  # each handshake is answered, by the old worker or the new one
            with SocketClient(server) as other:
                assert other.until("session.created")
                opened += 1
            idle.raw.settimeout(0.01)
            try:
                assert idle.rest() == []
            except TimeoutError:
                continue
        assert opened
        assert idle.closed == STOPPING
        until(lambda: any(worker["pid"] != old["pid"] for worker in server.ready()["workers"]))
        with SocketClient(server) as new:
            new.speak("Hello.")
            assert new.until("response.done")[-1]["response"]["status"] == "completed"
            new.close()
        goes_on_to_its_end(speaking, pace)
    until(lambda: [worker["state"] for worker in server.ready()["workers"]] == ["ready"])
    assert server.ready()["workers"][0]["pid"] != old["pid"]
    assert_quiet(server, "paced")


def test_a_worker_that_is_killed_ends_its_sockets_and_the_next_one_works(
    server: Server, pace: Path
) -> None:
    with SocketClient(server) as client:
        begin(client, pace)
        os.kill(server.ready()["workers"][0]["pid"], signal.SIGKILL)
        try:
            client.rest()
        except ConnectionResetError:
            pass
        assert client.closed is None
    server.wait_for(lambda _: sum(" ready at " in line for line in server.lines) == 2)
    with SocketClient(server) as client:
        client.speak("Hello.")
        client.until("response.done")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, file


def test_tls_carries_large_messages_in_both_directions_and_the_end(
    certificate: tuple[Path, Path],
) -> None:
    key, file = certificate
    arguments = {"GUNICORN_CMD_ARGS": f"--certfile {file} --keyfile {key}"}
    trust = ssl.create_default_context(cafile=str(file))
    with Server(environ=arguments, **TONE, max_input_chars="100000") as server:
        server.wait_ready()
        with SocketClient(server, trust=trust, receive_buffer=4096) as client:
            item = {"id": "item_large", "content": [], "padding": "x" * 1_000_000}
            client.send_event("conversation.item.create", item=item)
            added = client.until("conversation.item.done")[-1]
            assert added["item"]["padding"] == "x" * 1_000_000
            text = "A sentence with many words. " * 300
            client.speak(text)
            events = client.until("response.done")
            spoken = [e for e in events if e["type"] == "response.output_audio_transcript.done"]
            assert spoken[0]["transcript"] == text
            assert sum(len(event.get("delta", "")) for event in events) > 5_000_000
            server.process.terminate()
            assert client.rest() == []
            assert client.closed == STOPPING
        assert server.stop() == 0
        assert_quiet(server, "many words")


def running(server: Server) -> list[int]:
    """Return the loads of all workers, smallest first."""
    found: list[dict[str, Any]] = server.ready()["workers"]
    return sorted(worker["load"] for worker in found)


def test_sessions_on_sockets_count_as_load_of_their_worker() -> None:
    settings = {**TONE, "workers": "2", "max_streams": "1"}
    with Server(**settings) as server, ExitStack() as stack:
        server.wait_ready()
        until(lambda: [w["state"] for w in server.ready()["workers"]] == ["ready"] * 2)
        for _ in range(2):  # where the second one comes, there is room
            client = stack.enter_context(SocketClient(server))
            client.speak("hang-late")
            assert client.until("response.output_audio.delta", "response.done")[-1].get("delta")
        until(lambda: running(server)[0] >= 1)
        with connect(server) as late:
            late.sendall(speech("Hello."))
            assert read_reply(late)[0] == 503
        client.close()
        until(lambda: running(server)[0] == 0)
        for _ in range(5):  # always by the worker that has room
            with connect(server) as other:
                other.sendall(speech("Hello."))
                assert read_all(other).startswith(b"HTTP/1.1 200")
            until(lambda: running(server)[0] == 0)
        stack.close()
        until_idle(server)
