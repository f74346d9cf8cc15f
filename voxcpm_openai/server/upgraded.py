"""The bytes of a connection that has left HTTP for another protocol, such as WebSocket."""

from __future__ import annotations

import threading
from collections.abc import Callable

from voxcpm_openai.server.client_socket import ClientSocket

ROOM = 256 * 1024
"""Bytes that wait for the thread; the event loop reads no more until there is room."""


class Upgraded:
    """The bytes between the event loop, which receives, and the thread that handles them.

    What is written goes the way of a response: the client takes it when it likes.
    """

    def __init__(self, client: ClientSocket, on_room: Callable[[], None]) -> None:
        """``on_room``: called in the thread when bytes can be received again."""
        self._client = client
        self._on_room = on_room
        self._received = bytearray()
        self._ended = False
        self._leaving = False
        self._changed = threading.Condition()

    # For the thread

    def read(self, timeout: float) -> bytes | None:
        """Wait for bytes: empty once the client has left; None after ``timeout`` seconds.

        Also None, at once, when the server begins to leave.
        """
        with self._changed:
            before = self._leaving
            self._changed.wait_for(
                lambda: self._received or self._ended or self._leaving != before, timeout
            )
            if not self._received:
                return b"" if self._ended else None
            was_full = len(self._received) >= ROOM
            data, self._received = bytes(self._received), bytearray()
        if was_full:
            self._on_room()
        return data

    def write(self, data: bytes) -> None:
        """Send, without waiting for the client.  Raises OSError if it has left.  Any thread may."""
        self._client.sendall(data)

    @property
    def leaving(self) -> bool:
        """Whether the server wants the connection to end soon."""
        return self._leaving

    # For the event loop

    @property
    def reads(self) -> bool:
        """Whether there is room for bytes."""
        return not self._ended and len(self._received) < ROOM

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        with self._changed:
            self._received += data
            self._changed.notify()

    def end(self) -> None:
        """Say that the client has left, or was dropped."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def leave(self) -> None:
        """Ask the thread to end the connection as soon as it has nothing to do."""
        with self._changed:
            self._leaving = True
            self._changed.notify()
