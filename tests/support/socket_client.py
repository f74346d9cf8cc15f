"""Clients of WebSockets for tests: a script in the place of a connection, and a real connection."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from websockets.frames import Frame, Opcode
from websockets.protocol import Event, Protocol, Side, State

from tests.support.live_server import Server
from tests.support.raw_client import TIMEOUT, Listening, connect, request

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""RFC 6455, section 1.3."""
REALTIME = "/v1/realtime?model=tts-1"


def protocol(side: Side = Side.CLIENT) -> Protocol:
    return Protocol(side, state=State.OPEN, max_size=None)


def encoded(*messages: str | bytes) -> bytes:
    """Return the bytes of messages of a client."""
    client = protocol()
    for message in messages:
        if isinstance(message, str):
            client.send_text(message.encode())
        else:
            client.send_binary(message)
    return b"".join(client.data_to_send())


def closing(code: int = 1000) -> bytes:
    """Return the bytes with which a client closes."""
    client = protocol()
    client.send_close(code)
    return b"".join(client.data_to_send())


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    """Return the bytes of a frame of a client."""
    return Frame(opcode, data, fin).serialize(mask=True)


class Script:
    """A stream of bytes to a channel: what comes, and when, by a clock that only it moves.

    A step is bytes that come, seconds of silence, or a call; at the end the client leaves.
    """

    def __init__(self, *steps: bytes | float | Callable[[], object]) -> None:
        self.now = 1000.0
        self.leaving = False
        self.unsent = 0
        self.broken = False
        """Whether what is written is lost."""
        self.woken = 0
        self.urgent = 0
        """Writes that were to overtake others."""
        self._steps = list(steps)
        self._client = protocol()

    def monotonic(self) -> float:
        return self.now

    def read(self, timeout: float) -> bytes | None:
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, bytes):
                return step
            if callable(step):
                woken = self.woken
                step()
                if self.woken > woken:
                    return None
                continue
            if step > timeout:
                self._steps.insert(0, step - timeout)
            self.now += min(step, timeout)
            if step >= timeout:
                return None
        return b""

    def wake(self) -> None:
        self.woken += 1

    def leave(self) -> None:
        self.leaving = True
        self.wake()

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        self.urgent += urgent
        if self.broken:
            raise BrokenPipeError
        self._client.receive_data(data)

    def sent(self) -> list[Frame]:
        """Return the frames that were written since the last call."""
        found = self._client.events_received()
        assert all(isinstance(one, Frame) for one in found)
        return [one for one in found if isinstance(one, Frame)]

    def closed_with(self) -> tuple[int, str]:
        """Return the code and the reason with which the channel was closed."""
        assert self._client.close_rcvd is not None
        return self._client.close_rcvd.code, self._client.close_rcvd.reason


def handshake(path: str = REALTIME, version: str = "1.1", **headers: str | None) -> bytes:
    """Return an opening handshake; None takes a header away."""
    fields: dict[str, str | None] = {"Upgrade": "websocket", "Connection": "Upgrade"}
    fields |= {"Sec_WebSocket_Key": KEY, "Sec_WebSocket_Version": "13", **headers}
    kept = {name: value for name, value in fields.items() if value is not None}
    return request("GET", path, version=version, **kept)


class SocketClient:
    """A WebSocket to a live server."""

    def __init__(
        self,
        server: Listening,
        path: str = REALTIME,
        *,
        receive_buffer: int | None = None,
        trust: ssl.SSLContext | None = None,
        **headers: str | None,
    ) -> None:
        """``trust``: for TLS.  Raises AssertionError if the handshake fails."""
        self.raw = connect(server, receive_buffer)
        if trust is not None:
            self.raw = trust.wrap_socket(self.raw, server_hostname="127.0.0.1")
        self.raw.sendall(handshake(path, **headers))
        self._protocol = protocol()
        self._frames: deque[Event] = deque()  # that were received and not looked at
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            data = self.raw.recv(65536)
            assert data, self.head
            self.head += data
        head, _, rest = self.head.partition(b"\r\n\r\n")
        self.head = head
        assert head.startswith(b"HTTP/1.1 101 "), self.head + rest
        if rest:
            self._protocol.receive_data(rest)

    def send(self, message: str | bytes) -> None:
        self.raw.sendall(encoded(message))

    def send_event(self, type_: str, **fields: object) -> None:
        self.send(json.dumps({"type": type_, **fields}))

    def speak(self, text: str) -> None:
        """Let a text be read aloud, by the Realtime API."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.send_event("response.create", response={"input": [item], "conversation": "none"})

    def frames(self) -> Iterator[Frame]:
        """Yield what the server sends, answer its pings and its close, until it has left."""
        end = time.monotonic() + TIMEOUT
        while True:
            self._frames += self._protocol.events_received()
            while self._frames:  # who stops here goes on here
                event = self._frames.popleft()
                assert isinstance(event, Frame)
                if event.opcode is not Opcode.PING:
                    end = time.monotonic() + TIMEOUT
                yield event
            assert time.monotonic() < end, "the server only sends pings"
            answer = b"".join(self._protocol.data_to_send())
            if answer:
                self.raw.sendall(answer)
            try:
                data = self.raw.recv(65536)
            except ConnectionResetError:  # by a proxy, which the server has left already
                if self._protocol.close_rcvd is None:
                    raise
                return
            if not data:
                return
            self._protocol.receive_data(data)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the server's messages, until it has left."""
        for one in self.frames():
            if one.opcode is Opcode.TEXT:
                yield json.loads(bytes(one.data))

    def until(self, *types: str) -> list[dict[str, Any]]:
        """Return the server's messages up to the first one of a type, or of several."""
        found = []
        for event in self.events():
            found.append(event)
            if event["type"] in types:
                return found
        raise AssertionError((found, self.closed))

    def rest(self) -> list[dict[str, Any]]:
        """Return all messages until the server has left."""
        return list(self.events())

    @property
    def closed(self) -> tuple[int, str] | None:
        """The code and the reason with which the server has closed, as far as it was read."""
        found = self._protocol.close_rcvd
        return (found.code, found.reason) if found else None

    def close(self) -> None:
        """Close well, and wait for the server."""
        self.raw.sendall(closing())
        self.rest()
        self.raw.close()

    def reset(self) -> None:
        """Leave with a reset."""
        linger = (1).to_bytes(4, "little") + bytes(4)
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.raw.close()

    def __enter__(self) -> Self:
        self.raw.settimeout(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()


def until(holds: Callable[[], bool]) -> None:
    """Ask until something holds."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it did not come true in time"


def until_idle(server: Server) -> None:
    """Wait until no socket is open and nothing is said."""

    def idle() -> bool:
        now = server.ready()
        return now["sockets"]["open"] == now["streams"]["running"] == now["engine"]["streams"] == 0

    until(idle)


def threads(server: Server) -> int:
    """Return the number of threads of a server's only worker."""
    (worker,) = server.ready()["workers"]
    return len(list(Path(f"/proc/{worker['pid']}/task").iterdir()))


def assert_quiet(server: Server, *texts: str) -> None:
    """Check that the log has no errors, no traces, and none of the texts that were spoken."""
    log = "\n".join(server.lines)
    for word in ("Traceback", " ERROR ", "unexpected", "Error", "Exception", *texts):
        assert word not in log, log


def named(value: object) -> str:
    """Return the name of a test's parameter: the bytes of a client's frame have a random mask."""
    return "data" if isinstance(value, bytes) else str(value)
