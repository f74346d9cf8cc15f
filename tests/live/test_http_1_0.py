"""HTTP/1.0, where the end of the connection is the end of the response: whole, or cut off."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import Server
from tests.support.raw_client import connect, read_all, request, speech

CHUNK_BYTES = 3840 * 2
SECONDS = 30
"""The longest wait for the end of a server."""
LONG = "A sentence with many words. " * 600
"""14 MB of audio, more than the buffers of sockets hold."""


def kill_worker(server: Server) -> None:
    (worker,) = [worker["pid"] for worker in server.ready()["workers"]]
    os.kill(worker, signal.SIGKILL)


def stop(server: Server) -> None:
    server.process.terminate()
    server.process.wait(SECONDS)  # the stream does not end in time


def drop_client(server: Server) -> None:
    server.wait_for(lambda line: "took nothing" in line)


def fail(_: Server) -> None:
    pass


CUTS: dict[str, tuple[str, Callable[[Server], None]]] = {
    "an error of the engine": ("fail-late", fail),
    "a killed worker": ("hang-late", kill_worker),
    "the end of the server": ("hang-late", stop),
    "a client that took nothing": (LONG, drop_client),
    "a killed worker whose client is slow": (LONG, kill_worker),
    "the end of a server whose client is slow": (LONG, stop),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_cut_is_a_reset(name: str) -> None:
    text, cut = CUTS[name]
    settings = {
        "engine": "tone",
        "plugins_dir": str(TONE_PLUGINS),
        "graceful_timeout": "1",
        "send_timeout": "3",
        "max_input_chars": "20000",
    }
    with Server(**settings) as server:
        server.wait_ready()
        with connect(server, receive_buffer=4096) as client:
            client.sendall(speech(text, "1.0"))
            assert client.recv(12) == b"HTTP/1.0 200"
            cut(server)
            with pytest.raises(ConnectionResetError):
                read_all(client)


@pytest.mark.parametrize("close", [True, False], ids=["close", "keep-alive"])
def test_a_whole_response_ends_well(tone_server: Server, close: bool) -> None:
    with connect(tone_server) as client:
        client.sendall(speech("Hello.", "1.0", close=close))
        assert len(read_all(client).partition(b"\r\n\r\n")[2]) == 3 * CHUNK_BYTES


def test_a_connection_that_is_kept_ends_well(tone_server: Server) -> None:
    last = request("GET", "/health", version="1.0")
    with connect(tone_server) as client:
        client.sendall(request("GET", "/health", version="1.0", Connection="keep-alive") + last)
        assert read_all(client).count(b"HTTP/1.0 200 ") == 2
