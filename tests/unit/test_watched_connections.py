"""Which connections are watched, for how long, and by how many threads."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from voxcpm_openai.web.disconnect import DisconnectWatch

TIMEOUT = 10

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The server's and the client's end of a connection."""
    server, client = socket.socketpair()
    with server, client:
        yield server, client


def wait_until_handled(watch: DisconnectWatch) -> None:
    """Wait until all events before this call are handled."""
    other, peer = socket.socketpair()
    handled = threading.Event()
    with other, watch.watch(other, handled.set):
        peer.close()
        assert handled.wait(TIMEOUT)


def inject(
    watch: DisconnectWatch, monkeypatch: pytest.MonkeyPatch, *keys: selectors.SelectorKey
) -> None:
    """Make the next calls of ``select`` return an event for each key, real or not."""
    select, remaining = watch._selector.select, list(keys)

    def injected(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if remaining:
            return [(remaining.pop(0), selectors.EVENT_READ)]
        return select(timeout)

    monkeypatch.setattr(watch._selector, "select", injected)


def key(client: socket.socket, callback: Callable[[], None]) -> selectors.SelectorKey:
    return selectors.SelectorKey(client, client.fileno(), selectors.EVENT_READ, callback)


def test_a_connection_is_watched_again_at_its_next_request(pair: Pair) -> None:
    server, client = pair
    watch, left = DisconnectWatch(), threading.Event()
    for _ in range(2):
        with watch.watch(server, lambda: None):
            pass
    with watch.watch(server, left.set):
        client.close()
        assert left.wait(TIMEOUT)


def test_a_connection_with_a_pipelined_request_is_watched_again(pair: Pair) -> None:
    server, client = pair
    watch, left = DisconnectWatch(), threading.Event()
    with watch.watch(server, lambda: None):
        client.sendall(b"POST")
        wait_until_handled(watch)
    assert server.recv(4) == b"POST"
    with watch.watch(server, left.set):
        client.close()
        assert left.wait(TIMEOUT)


def test_a_disconnect_calls_the_callback_once(pair: Pair) -> None:
    server, client = pair
    watch, calls = DisconnectWatch(), []
    with watch.watch(server, lambda: calls.append("left")):
        client.close()
        wait_until_handled(watch)
        wait_until_handled(watch)
    assert calls == ["left"]


def test_an_event_without_data_is_not_a_disconnect(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may report a socket as readable that has nothing to read."""
    server, _ = pair
    watch, calls = DisconnectWatch(), []
    inject(watch, monkeypatch, key(server, lambda: calls.append("left")))
    with watch.watch(server, lambda: None):
        wait_until_handled(watch)
    assert calls == []


def test_an_event_after_the_block_calls_no_callback(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = pair
    client.close()
    watch, calls = DisconnectWatch(), []
    inject(watch, monkeypatch, key(server, lambda: calls.append("left")))
    wait_until_handled(watch)
    assert calls == []


def test_a_tls_connection_is_not_watched() -> None:
    """The raw bytes of its socket may belong to the TLS protocol."""
    server, client = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    watch, calls = DisconnectWatch(), []
    with (
        client,
        context.wrap_socket(server, do_handshake_on_connect=False) as wrapped,
        watch.watch(wrapped, lambda: calls.append("left")),
    ):
        client.close()
        wait_until_handled(watch)
    assert calls == []


def test_one_daemon_thread_watches_all_connections(pair: Pair) -> None:
    before = set(threading.enumerate())
    server, _ = pair
    watch = DisconnectWatch()
    for _ in range(3):
        with watch.watch(server, lambda: None):
            wait_until_handled(watch)
    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon
