"""Several workers as one server: shared connections, one killed, all replaced, all stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import Server
from tests.support.raw_client import connect, read_reply, request, speech

WORKERS = 3
SECONDS = 30
"""The longest wait for anything."""


@pytest.fixture
def server() -> Iterator[Server]:
    settings = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS), "workers": str(WORKERS)}
    with Server(**settings, max_streams="1") as started:
        started.wait_ready()
        until(started, lambda workers: states(workers) == ["ready"] * WORKERS)
        yield started


def workers(server: Server) -> list[dict[str, Any]]:
    """Return the workers as ``/ready`` tells, each time over a new connection."""
    try:
        with urllib.request.urlopen(f"{server.url}/ready", timeout=10) as reply:
            found: list[dict[str, Any]] = json.load(reply)["workers"]
    except (OSError, ValueError):
        return []
    return found


def until(server: Server, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Ask until something holds of the workers."""
    end = time.monotonic() + SECONDS
    while not holds(found := workers(server)):
        assert time.monotonic() < end, (found, server.lines[-20:])
    return found


def states(workers: list[dict[str, Any]]) -> list[str]:
    return [worker["state"] for worker in workers]


def pids(server: Server) -> set[int]:
    return {worker["pid"] for worker in workers(server)}


def loads(server: Server) -> dict[int, int]:
    """Return the load of each worker without that of the request that asks for it."""
    polls = [workers(server) for _ in range(8)]
    return {
        worker["pid"]: min(
            one["load"] for poll in polls for one in poll if one["pid"] == worker["pid"]
        )
        for worker in polls[-1]
    }


def test_none_is_refused_while_a_worker_has_room(server: Server) -> None:
    with ExitStack() as stack:
        for count in range(1, WORKERS + 1):
            client = stack.enter_context(connect(server))
            client.sendall(speech("hang"))
            end = time.monotonic() + SECONDS
            while sum(loads(server).values()) < count:
                assert time.monotonic() < end
        with connect(server) as late:
            late.sendall(speech("Hello."))
            assert read_reply(late)[0] == 503
        client.close()
        code, end = 503, time.monotonic() + SECONDS
        while code == 503:  # until the disconnect is noticed
            assert time.monotonic() < end
            code = status(server, speech("Hello."))[0]


def test_a_worker_killed_in_mid_work_is_replaced_and_the_others_do_not_notice(
    server: Server,
) -> None:
    with ExitStack() as stack:
        clients = []
        for _ in range(WORKERS):  # each has one place
            client = stack.enter_context(connect(server))
            client.sendall(speech("hang-late"))
            assert client.recv(12) == b"HTTP/1.1 200"
            clients.append(client)
        victim = workers(server)[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        until(
            server,
            lambda now: (
                states(now) == ["ready"] * WORKERS and victim not in [w["pid"] for w in now]
            ),
        )
        assert [is_open(client) for client in clients].count(False) == 1


def test_a_reload_replaces_all_workers_without_a_failed_request(server: Server) -> None:
    before, done = pids(server), threading.Event()
    failures: list[str] = []

    def ask() -> None:
        api = openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=2)
        while not done.is_set():
            try:
                api.audio.speech.create(model="tts-1", voice="alloy", input="Hello.").read()
            except openai.OpenAIError as error:
                failures.append(repr(error))

    client = threading.Thread(target=ask)
    client.start()
    server.process.send_signal(signal.SIGHUP)
    until(server, lambda now: states(now) == ["ready"] * WORKERS and not before & pids(server))
    done.set()
    client.join(30)
    assert failures == []


def test_a_running_stream_survives_a_reload(server: Server) -> None:
    with connect(server) as client:
        client.sendall(speech("hang-late"))
        assert client.recv(12) == b"HTTP/1.1 200"
        before = pids(server)
        server.process.send_signal(signal.SIGHUP)
        until(server, lambda now: "draining" in states(now) and len(now) == WORKERS + 1)
        assert is_open(client)
    until(server, lambda now: states(now) == ["ready"] * WORKERS and not before & pids(server))


def is_open(client: socket.socket) -> bool:
    """Return whether a response goes on."""
    client.setblocking(False)
    try:
        while client.recv(65536):
            continue
    except BlockingIOError:
        return True
    return False


def status(server: Server, data: bytes) -> tuple[int, bytes]:
    with connect(server) as client:
        client.sendall(data)
        return read_reply(client)


def test_a_stopping_server_says_so_until_its_last_stream_is_sent(server: Server) -> None:
    with connect(server) as client:
        client.sendall(speech("hang-late"))
        assert client.recv(12) == b"HTTP/1.1 200"
        server.process.terminate()
        code, end = 200, time.monotonic() + SECONDS
        while code != 503:  # each worker is told in its turn
            assert time.monotonic() < end
            code, body = status(server, speech("Hello."))
        assert json.loads(body)["error"]["code"] == "draining"
        assert status(server, request("GET", "/ready"))[0] == 503
        assert status(server, request("GET", "/health"))[0] == 200
        assert server.process.poll() is None
    assert server.stop() == 0


def test_one_worker_that_is_told_to_stop_is_replaced(server: Server) -> None:
    before = pids(server)
    os.kill(min(before), signal.SIGTERM)
    until(server, lambda now: len(now) == WORKERS and min(before) not in [w["pid"] for w in now])
