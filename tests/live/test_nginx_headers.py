"""What nginx with the shipped configuration hands on to an instance, and over which connection."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support import nginx
from tests.support.nginx import Nginx

SECONDS = 30
"""The longest wait for an answer."""


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that it gets, and the port from which they come."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({**found, "port": self.client_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """An nginx before one server that echoes."""
    folder = tmp_path_factory.mktemp("echo")
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        with Nginx(folder, lambda port: nginx.shipped(folder, port, [address])) as proxy:
            yield proxy
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ({}, {"connection": None, "upgrade": None}),
        ({"Connection": "close"}, {"connection": None}),
        ({"Connection": "Upgrade", "Upgrade": "h2c"}, {"connection": None, "upgrade": None}),
        (
            {"Connection": "Upgrade", "Upgrade": "WebSocket"},
            {"connection": "upgrade", "upgrade": "websocket"},
        ),
        (
            {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"},
            {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http"},
        ),
        ({"Host": "speech.example"}, {"host": "speech.example"}),
        ({"Host": "speech.example:8443"}, {"host": "speech.example:8443"}),
        ({"Authorization": "Bearer key"}, {"authorization": "Bearer key"}),
    ],
)
def test_an_instance_gets_what_it_should(
    echo: Nginx, sent: dict[str, str], got: dict[str, str | None]
) -> None:
    asked = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=SECONDS)
    with closing(asked):
        asked.request("GET", "/", headers=sent)
        headers = json.load(asked.getresponse())
    assert {name: headers.get(name) for name in got} == got


def test_connections_to_an_instance_are_kept(echo: Nginx) -> None:
    asked = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=SECONDS)
    with closing(asked):
        ports = set()
        for _ in range(3):
            asked.request("GET", "/")
            ports.add(json.load(asked.getresponse())["port"])
    assert len(ports) == 1
