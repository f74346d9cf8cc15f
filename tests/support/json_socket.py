"""A WebSocket of JSON messages for tests, and the code with which a server closes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.raw_client import Listening

TIMEOUT = 20
Message = dict[str, Any]


class JsonSocket:
    """Sends fields as a JSON message and reads the messages of a server."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, **fields: object) -> None:
        self.connection.send(json.dumps(fields))

    def receive(self) -> Message:
        message: Message = json.loads(self.connection.recv(TIMEOUT))
        return message

    def until(self, ends: Callable[[Message], object]) -> list[Message]:
        """Return the messages up to the first one that ends them."""
        found = []
        while not found or not ends(found[-1]):
            found.append(self.receive())
        return found

    def rest(self) -> list[Message]:
        """Return the messages until the server closes."""
        found = []
        try:
            while True:
                found.append(self.receive())
        except ConnectionClosed:
            return found

    def closed(self) -> tuple[int, str]:
        """Wait until the server closes; return its code and reason."""
        self.rest()
        close = self.connection.protocol.close_rcvd
        assert close is not None
        return int(close.code), close.reason


@contextmanager
def opened(server: Listening, path: str, **options: Any) -> Iterator[JsonSocket]:
    """Open a WebSocket; ``options``: of ``connect``."""
    url = f"ws://127.0.0.1:{server.port}{path}"
    with connect(url, proxy=None, max_size=None, close_timeout=2, **options) as connection:
        yield JsonSocket(connection)


def audio(messages: list[Message], name: str) -> bytes:
    """Return the audio of messages, which is base64 in the field of this name."""
    return b"".join(base64.b64decode(message[name]) for message in messages if message.get(name))
