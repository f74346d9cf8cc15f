"""The bytes of a connection that has left HTTP for another protocol, such as WebSocket."""

from __future__ import annotations

import threading
from collections.abc import Callable

from voxcpm_openai.server.client_socket import ClientSocket

ROOM = 256 * 1024
"""Bytes that wait for the thread; the event loop reads no more until there is room."""
MOST_UNSENT = 64 * 1024 * 1024
"""Bytes that wait for the client, 15 minutes of audio; nothing is read until it takes some."""


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
        self._woken = False
        self._changed = threading.Condition()

    # For the thread

    def read(self, timeout: float) -> bytes | None:
        """Wait for bytes: empty once the client has left; None after ``timeout`` seconds.

        Also None, once, after ``wake``, and when the server begins to leave.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._received or self._ended or self._woken, timeout)
            self._woken = False
            if not self._received:
                return b"" if self._ended else None
            was_full = len(self._received) >= ROOM
            data, self._received = bytes(self._received), bytearray()
        if was_full:
            self._on_room()
        return data

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Send, without waiting for the client.  Raises OSError if it has left.  Any thread may.

        ``urgent``: before the data of earlier calls of which nothing was sent.
        """
        self._client.sendall(data, urgent=urgent)

    def wake(self) -> None:
        """Let ``read`` return, also the next one if none waits.  Any thread may."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    @property
    def unsent(self) -> int:
        """The number of bytes that the client has not taken."""
        return self._client.unsent

    @property
    def leaving(self) -> bool:
        """Whether the server wants the connection to end soon."""
        return self._leaving

    # For the event loop

    @property
    def reads(self) -> bool:
        """Whether there is room for bytes, and for answers to them."""
        return not self._ended and len(self._received) < ROOM and self._client.unsent < MOST_UNSENT

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
            self._woken = self._woken or not self._leaving
            self._leaving = True
            self._changed.notify()
