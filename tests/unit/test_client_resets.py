"""A client whose connection is reset, not closed, has left as well."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from voxcpm_openai.web.disconnect import DisconnectWatch

TIMEOUT = 10


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def reset(client: socket.socket) -> None:
    """Close a connection with a reset in the place of an orderly end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_reset_counts_as_leaving(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    left = threading.Event()
    with DisconnectWatch().watch(ours, left.set):
        reset(theirs)
        assert left.wait(TIMEOUT)


def test_a_reset_with_bytes_unread_counts_as_leaving(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """A client that closes before it has read what was sent resets the connection."""
    ours, theirs = pair
    ours.sendall(b"sound")
    left = threading.Event()
    with DisconnectWatch().watch(ours, left.set):
        theirs.close()
        assert left.wait(TIMEOUT)


def test_the_watch_goes_on_after_a_reset(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    watch = DisconnectWatch()
    first, second = threading.Event(), threading.Event()
    other, gone = socket.socketpair()
    with other, watch.watch(ours, first.set), watch.watch(other, second.set):
        reset(theirs)
        assert first.wait(TIMEOUT)
        gone.close()
        assert second.wait(TIMEOUT)
