"""The watch over the sockets of clients who wait."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator

import pytest

from voxcpm_openai.web.watch import Watch

TIMEOUT = 10


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_client_who_leaves_is_noticed(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    left = threading.Event()
    with Watch().over(ours, left.set):
        theirs.close()
        assert left.wait(TIMEOUT)


def test_a_client_who_sends_its_next_request_has_not_left(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    watch, calls = Watch(), []
    with watch.over(ours, lambda: calls.append("left")):
        theirs.sendall(b"POST")
        other, gone = socket.socketpair()
        seen = threading.Event()
        with other, watch.over(other, seen.set):
            gone.close()  # a later event: once it is seen, the earlier one has been, too
            assert seen.wait(TIMEOUT)
    assert calls == []
    assert ours.recv(4) == b"POST"


def test_nobody_is_called_after_the_block(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    watch, calls = Watch(), []
    with watch.over(ours, lambda: calls.append("left")):
        pass
    theirs.close()
    other, gone = socket.socketpair()
    seen = threading.Event()
    with other, watch.over(other, seen.set):
        gone.close()
        assert seen.wait(TIMEOUT)
    assert calls == []


def test_what_is_no_plain_socket_is_not_watched() -> None:
    with Watch().over(None, lambda: None):
        pass


def test_the_watch_survives_a_socket_closed_between_its_event_and_the_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The event is on its way when the block ends and the server closes the socket."""
    watch = Watch()
    ours, theirs = socket.socketpair()
    events: list[list[tuple[selectors.SelectorKey, int]]] = []
    stale = selectors.SelectorKey(ours, ours.fileno(), selectors.EVENT_READ, lambda: None)
    select = watch._selector.select

    def once_stale(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not events:
            events.append([(stale, selectors.EVENT_READ)])
            return events[0]
        return select(timeout)

    ours.close()
    theirs.close()
    monkeypatch.setattr(watch._selector, "select", once_stale)
    other, gone = socket.socketpair()
    seen = threading.Event()
    with other, watch.over(other, seen.set):
        gone.close()
        assert seen.wait(TIMEOUT)
