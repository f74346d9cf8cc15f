"""HTTP by hand, for clients that do what no library does: the bytes of requests, and sockets."""

from __future__ import annotations

import asyncio
import json
import socket

READ = 1 << 16
"""Bytes of a single read."""


def request(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    length: int | None = None,
    type_: str = "application/json",
    close: bool = True,
) -> bytes:
    """Return the bytes of a request.

    ``length``: the Content-Length, where it is not that of ``body``.  ``close``: the connection,
    after the response.
    """
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Connection: {'close' if close else 'keep-alive'}",
    ]
    length = len(body) if length is None else length
    if length:
        lines += [f"Content-Type: {type_}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def speech(text: str, **fields: object) -> bytes:
    """Return the bytes of a speech request, for pcm unless ``fields`` say otherwise."""
    body = {"model": "tts-1", "input": text, "response_format": "pcm", **fields}
    return request("POST", "/v1/audio/speech", json.dumps(body).encode())


class Link:
    """A connection to a port of the loopback, in an event loop."""

    def __init__(self, receive_buffer: int | None = None) -> None:
        """``receive_buffer``: bytes; a small one makes a slow reader felt at once."""
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    async def connect(self, port: int) -> None:
        """Raises OSError, as the methods below do."""
        await self._loop.sock_connect(self._socket, ("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def receive(self, most: int = READ) -> bytes:
        """Return what has come; nothing at the end."""
        return await self._loop.sock_recv(self._socket, most)

    async def rest(self) -> bytes:
        """Return all that comes up to the end."""
        parts = []
        while part := await self.receive():
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._socket.close()
