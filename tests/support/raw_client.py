"""Clients that speak HTTP by hand: byte by byte, halves of requests, without reading."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

TIMEOUT = 20


class Listening(Protocol):
    """A server on loopback."""

    port: int


def connect(server: Listening, receive_buffer: int | None = None) -> socket.socket:
    """Return a connection; a small ``receive_buffer`` makes a slow reader felt at once."""
    client = socket.socket()
    client.settimeout(TIMEOUT)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", server.port))
    return client


@contextmanager
def crowd(server: Listening, count: int, data: bytes) -> Iterator[list[socket.socket]]:
    """Open connections that each send the same bytes, and then nothing."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(count)]
        for client in clients:
            client.sendall(data)
        yield clients


def request(
    method: str, path: str, body: bytes = b"", version: str = "1.1", **headers: str
) -> bytes:
    """Return the bytes of a request."""
    fields = {"Host": "localhost", **{key.replace("_", "-"): v for key, v in headers.items()}}
    if body:
        fields.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {path} HTTP/{version}", *(f"{key}: {v}" for key, v in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def speech(text: str, version: str = "1.1", *, close: bool = True, **fields: object) -> bytes:
    """Return the bytes of a speech request; ``close``: the connection, after the response."""
    body = json.dumps({"model": "tone", "input": text, "response_format": "pcm", **fields})
    headers = {"Content_Type": "application/json", "Connection": "close" if close else "keep-alive"}
    return request("POST", "/v1/audio/speech", body.encode(), version, **headers)


def read_all(client: socket.socket) -> bytes:
    """Return everything up to the end.  Raises ConnectionResetError."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_reply(client: socket.socket) -> tuple[int, bytes]:
    """Return the status and the body of a response with a Content-Length."""
    with client.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return status, stream.read(length)
