"""Connections are shared among workers so that none is refused while one of them has room."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import Server
from voxcpm_openai.server.duty import LEAD

WORKERS, STREAMS = 4, 2
PLACES = WORKERS * STREAMS
REQUESTS = 20
"""Of each client, one after the other, each over a new connection."""
SECONDS = 30


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    settings = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS), "workers": str(WORKERS)}
    with Server(**settings, max_streams=str(getattr(request, "param", STREAMS))) as started:
        started.wait_ready()
        end = time.monotonic() + SECONDS
        while [one["state"] for one in started.ready()["workers"]] != ["ready"] * WORKERS:
            assert time.monotonic() < end
        yield started


class Client:
    """A connection that is kept alive, as the pools of SDKs keep them."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)

    def send(self, text: str) -> None:
        body = json.dumps({"model": "tone", "input": text, "response_format": "pcm"})
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/v1/audio/speech", body, headers)

    def begun(self) -> int:
        """Return the status of a response that goes on."""
        return self._connection.getresponse().status

    def whole(self) -> int:
        """Return the status of a response, at its end."""
        reply = self._connection.getresponse()
        reply.read()
        return reply.status

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("kept_alive", [False, True])
def test_as_many_requests_as_there_are_places_run_at_once(server: Server, kept_alive: bool) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(Client(server))) for _ in range(PLACES)]
        if kept_alive:  # one after the other, so that any worker could take all of them
            for client in clients:
                client.send("Hello.")
                assert client.whole() == 200
        for client in clients:
            client.send("hang-late")
        assert Counter(client.begun() for client in clients) == {200: PLACES}
        late = stack.enter_context(closing(Client(server)))
        late.send("Hello.")
        assert late.whole() == 503


def test_a_place_is_found_again_at_the_end_of_a_response(server: Server) -> None:
    statuses: list[int] = []

    def ask() -> None:
        for _ in range(REQUESTS):
            with closing(Client(server)) as client:
                client.send("Hello.")
                statuses.append(client.whole())

    threads = [threading.Thread(target=ask) for _ in range(PLACES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(statuses) == {200: PLACES * REQUESTS}


@pytest.mark.parametrize("server", [64], indirect=True)
def test_streams_are_spread_over_the_workers(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(6 * WORKERS):
            client = stack.enter_context(closing(Client(server)))
            client.send("hang-late")
            assert client.begun() == 200
        loads = [one["load"] for one in server.ready()["workers"]]
        assert max(loads) - min(loads) <= LEAD + 2  # its last one, and that which asks
