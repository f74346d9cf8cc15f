"""The bytes between the event loop and the thread that handles an upgraded connection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxcpm_openai.server import worker
from voxcpm_openai.server.client_socket import ClientSocket
from voxcpm_openai.server.connection import TURNS, Connection, State
from voxcpm_openai.server.outbox import MEMORY, SENT, STEP, Outbox
from voxcpm_openai.server.receiver import Receiver
from voxcpm_openai.server.spool_space import SpoolSpace
from voxcpm_openai.server.upgraded import MOST_UNSENT, ROOM, Upgraded

TIMEOUT = 10.0
LIMIT = 64 * 1024 * 1024
NOW = 0.0
"""A time that has passed."""


class Reader:
    """A thread that waits in ``read``."""

    def __init__(self, stream: Upgraded) -> None:
        self.found: list[bytes | None] = []
        self._thread = threading.Thread(target=lambda: self.found.append(stream.read(TIMEOUT)))
        self._thread.start()

    def result(self) -> bytes | None:
        begun = time.monotonic()
        self._thread.join(TIMEOUT)
        assert time.monotonic() - begun < TIMEOUT / 2, "it was not woken"
        return self.found[0]


def made(unsent: int = 0) -> tuple[Upgraded, list[str], Any]:
    """Return a stream, the calls for room, and the socket that it writes to."""
    calls: list[str] = []
    client: Any = SimpleNamespace(unsent=unsent)
    return Upgraded(client, lambda: calls.append("room")), calls, client


def test_bytes_come_in_their_order() -> None:
    stream, calls, _ = made()
    for part in (b"one", b"two", b"three"):
        stream.feed(part)
    assert stream.read(NOW) == b"onetwothree"
    assert stream.read(NOW) is None
    reader = Reader(stream)
    stream.feed(b"four")
    assert reader.result() == b"four"
    assert calls == []


def test_no_more_is_received_than_there_is_room_for_until_it_is_read() -> None:
    stream, calls, _ = made()
    stream.feed(bytes(ROOM - 1))
    assert stream.reads
    stream.feed(bytes(10))
    assert not stream.reads
    assert calls == []
    data = stream.read(NOW)
    assert data == bytes(ROOM + 9)
    assert calls == ["room"]
    assert stream.reads


def test_nothing_is_received_from_a_client_that_takes_no_answers() -> None:
    stream, _, client = made(MOST_UNSENT)
    assert not stream.reads
    client.unsent -= 1
    assert stream.reads
    assert stream.unsent == client.unsent


def test_the_end_wakes_a_reader_after_what_came_before_it() -> None:
    stream, _, _ = made()
    reader = Reader(stream)
    stream.end()
    assert reader.result() == b""
    assert stream.read(NOW) == b""
    assert not stream.reads
    stream, _, _ = made()
    stream.feed(b"last")
    stream.end()
    assert [stream.read(NOW), stream.read(NOW)] == [b"last", b""]


@pytest.mark.parametrize("name", ["wake", "leave"])
def test_a_reader_is_woken_once(name: str) -> None:
    stream, _, _ = made()
    reader = Reader(stream)
    getattr(stream, name)()
    assert reader.result() is None
    assert stream.leaving is (name == "leave")


@pytest.mark.parametrize("name", ["wake", "leave"])
def test_a_reader_that_comes_a_moment_later_does_not_wait(name: str) -> None:
    """What it last looked at was before the call: else the call would be lost."""
    stream, _, _ = made()
    getattr(stream, name)()
    begun = time.monotonic()
    assert stream.read(TIMEOUT) is None
    assert time.monotonic() - begun < TIMEOUT / 2
    if name == "leave":
        stream.leave()  # the server says so again and again
    begun = time.monotonic()
    assert stream.read(0.01) is None
    assert time.monotonic() - begun >= 0.01


@pytest.fixture
def connection() -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        cfg = SimpleNamespace(is_ssl=False)
        client = ClientSocket(ours, SpoolSpace(), lambda: None)
        conn = Connection(cfg, client, ("127.0.0.1", 1), ("127.0.0.1", 2))
        conn.request = Receiver(1000, 1000, SpoolSpace())
        yield conn, theirs
        conn.end()


def test_a_client_that_floods_does_not_keep_the_event_loop(
    connection: tuple[Connection, socket.socket],
) -> None:
    """However fast its thread is."""
    conn, theirs = connection
    reads = 0

    class Bottomless(Upgraded):
        def feed(self, data: bytes) -> None:
            nonlocal reads
            reads += 1
            theirs.sendall(data)  # there is always more

    theirs.sendall(b"x")
    assert conn.pass_on(Bottomless(conn.sock, lambda: None))
    assert reads == TURNS


def test_a_worker_stays_while_a_client_answers_the_end(
    connection: tuple[Connection, socket.socket],
) -> None:
    conn, _ = connection
    conn.state = State.LINGERING
    assert not conn.busy
    conn.upgraded, _, _ = made()
    assert conn.busy


class Loop:
    """The calls of a worker's event loop."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def defer(self, callback: Any, *arguments: Any) -> None:
        callback(*arguments)

    def upgrade(self, conn: Any, stream: Upgraded) -> None:
        conn.upgraded = stream
        self.calls.append("upgrade")

    def finish(self, conn: object, *, keep: bool) -> None:
        assert not keep
        self.calls.append("finish")

    def on_event(self, conn: object) -> None:
        self.calls.append("event")


def test_without_a_thread_an_upgraded_connection_is_closed_and_the_worker_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(worker, "Thread", NoThread)
    loop: Any = Loop()
    conn: Any = SimpleNamespace(sock=SimpleNamespace(unsent=0), upgraded=None)
    ours = worker.Worker.__new__(worker.Worker)
    ours.method_queue, ours._loop = loop, loop
    ours._upgrade(conn, lambda _: None)
    assert loop.calls == ["upgrade", "finish"]
    assert "can't start new thread" in caplog.text


def test_what_was_sent_is_not_kept_although_the_client_is_never_done() -> None:
    space = SpoolSpace(limit := 4 * SENT)
    box, sent, taken = Outbox(space), bytearray(), bytearray()
    block = bytes(range(256)) * 100
    for number in range(20 * limit // len(block)):
        sent += (piece := block[number % 256 :])
        box.put(piece)
        while len(box) > MEMORY + number % 1000:  # never all of it
            data = box.peek()[: 1 + number * 7919 % 50_000]
            taken += data
            box.drop(len(data))
    while len(box):
        taken += (data := box.peek())
        box.drop(len(data))
    assert taken == sent
    space.take(limit)  # all of it is free
    box.close()


@settings(deadline=None)
@given(
    writes=st.lists(st.tuples(st.integers(1, 90_000), st.booleans()), min_size=1, max_size=40),
    takes=st.lists(st.integers(0, 150_000), min_size=1),
)
def test_what_is_urgent_overtakes_whole_writes_only(
    writes: list[tuple[int, bool]], takes: list[int]
) -> None:
    """And what was offered once is offered again, from its start and no shorter, as TLS wants."""
    space, order, sent = SpoolSpace(LIMIT), [], bytearray()
    box, turns, tried = Outbox(space), cycle([*takes, 50_000]), b""

    def flush() -> None:
        nonlocal tried
        while len(box):
            data = box.peek()
            assert data.startswith(tried)
            taken = min(next(turns), len(data))
            if not taken:
                tried = data
                return
            tried = b""
            sent.extend(data[:taken])
            box.drop(taken)

    for number, (size, urgent) in enumerate(writes):
        size = size % 300 + 2 if urgent else size + 1
        data = bytes([number + 1]) * (size - 1) + b"\0"
        order.append((number + 1, urgent))
        begun = 0
        if not len(box):  # as ClientSocket does
            begun = min(next(turns), size)
            sent.extend(data[:begun])
            tried = b"" if begun else data[:STEP]
        if begun < size:
            box.put(data[begun:], urgent=urgent)
        flush()
    while len(box):
        flush()
    pieces = bytes(sent).split(b"\0")[:-1]
    assert all(len(set(piece)) == 1 for piece in pieces), "none is cut by another"
    found = [piece[0] for piece in pieces]
    for kind in (False, True):
        expected = [number for number, urgent in order if urgent is kind]
        assert [number for number in found if number in expected] == expected
    space.take(LIMIT)
    box.close()


def test_a_pong_comes_before_audio_that_waits() -> None:
    box = Outbox(SpoolSpace())
    for number in range(100):
        box.put(bytes([number]) * 1000)
    box.put(b"pong", urgent=True)
    taken = b""
    while b"pong" not in taken:
        taken += (data := box.peek()[:10_000])
        box.drop(len(data))
    assert len(taken) < 12_000
    box.close()
