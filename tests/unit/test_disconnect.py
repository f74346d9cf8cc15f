"""Detection of clients that disconnect during a request."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator

import pytest

from voxcpm_openai.web.disconnect import DisconnectWatch

TIMEOUT = 10


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a connection."""
    server, client = socket.socketpair()
    with server, client:
        yield server, client


def test_a_disconnect_calls_the_callback(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    left = threading.Event()
    with DisconnectWatch().watch(server, left.set):
        client.close()
        assert left.wait(TIMEOUT)


def test_a_pipelined_request_is_not_a_disconnect(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    server, client = pair
    watch, calls = DisconnectWatch(), []
    with watch.watch(server, lambda: calls.append("left")):
        client.sendall(b"POST")
        other, peer = socket.socketpair()
        handled = threading.Event()
        with other, watch.watch(other, handled.set):
            peer.close()  # a later event: once it is handled, the earlier one is handled too
            assert handled.wait(TIMEOUT)
    assert calls == []
    assert server.recv(4) == b"POST"


def test_no_callback_is_called_after_the_block(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    watch, calls = DisconnectWatch(), []
    with watch.watch(server, lambda: calls.append("left")):
        pass
    client.close()
    other, peer = socket.socketpair()
    handled = threading.Event()
    with other, watch.watch(other, handled.set):
        peer.close()
        assert handled.wait(TIMEOUT)
    assert calls == []


def test_a_missing_socket_is_not_watched() -> None:
    with DisconnectWatch().watch(None, lambda: None):
        pass


def test_a_socket_closed_between_its_event_and_the_check_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The event is pending when the block ends and the server closes the socket."""
    watch = DisconnectWatch()
    server, client = socket.socketpair()
    events: list[list[tuple[selectors.SelectorKey, int]]] = []
    stale = selectors.SelectorKey(server, server.fileno(), selectors.EVENT_READ, lambda: None)
    select = watch._selector.select

    def once_stale(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not events:
            events.append([(stale, selectors.EVENT_READ)])
            return events[0]
        return select(timeout)

    server.close()
    client.close()
    monkeypatch.setattr(watch._selector, "select", once_stale)
    other, peer = socket.socketpair()
    handled = threading.Event()
    with other, watch.watch(other, handled.set):
        peer.close()
        assert handled.wait(TIMEOUT)
