"""What the workers of a server know of each other, and what follows for each."""

from __future__ import annotations

import os
import resource
from types import SimpleNamespace
from typing import Any

import pytest

from voxcpm_openai.errors import Overloaded, StartError
from voxcpm_openai.lifecycle import STATES
from voxcpm_openai.limits import StreamLimiter
from voxcpm_openai.server import handles
from voxcpm_openai.server.board import Board, BoardRow
from voxcpm_openai.server.connection import Connection, State
from voxcpm_openai.server.connection_loop import ConnectionLoop
from voxcpm_openai.server.crowd import Crowd
from voxcpm_openai.server.duty import Duty
from voxcpm_openai.settings import Settings

LIMIT = 2


class Staff:
    """A worker of a board, with others that say what a test wants."""

    def __init__(self, engine: str = "ready", age: int = 1) -> None:
        self.board = Board(8)
        self.engine = SimpleNamespace(state=engine, drained=False, lost=False)
        self.engine.drain = lambda: setattr(self.engine, "drained", True)
        self.worker = SimpleNamespace(
            alive=True,
            parent=True,
            cfg=SimpleNamespace(workers=2, graceful_timeout=30, keepalive=75),
            connections=[],
            loaded=[],
            waiting=[],
            closed_idle=0,
        )
        self.worker.is_parent_alive = lambda: self.worker.parent
        self.worker.close_idle = lambda: setattr(self.worker, "closed_idle", 1)
        self.limits = SimpleNamespace(limit=LIMIT, running=0)
        context: Any = SimpleNamespace(engine=self.engine, limits=self.limits)
        self.duty = Duty(self.worker, BoardRow(self.board, self.board.take(), age), context)
        self.duty.publish()

    def accepts(self, load: int, other: tuple[str, int] | None) -> bool:
        """Return whether it takes a connection, at a load and beside another worker."""
        self.worker.loaded = [connection(state=State.RECEIVING)] * load
        if other:
            self.other(*other)
        self.duty.publish()
        return self.duty.accepts()

    def other(self, state: str, load: int = 0, age: int = 2, waiting: int = 0) -> None:
        row = self.board.take()
        index = STATES.index(state)
        self.board.write(row, (os.getpid() + 1 + row, age, index, load, LIMIT, waiting))


@pytest.mark.parametrize(
    ("engine", "load", "other", "accepts"),
    [
        ("ready", 0, None, True),
        ("ready", LIMIT, None, True),
        ("ready", LIMIT, ("ready", 0), False),
        ("ready", LIMIT, ("ready", LIMIT), True),
        ("ready", LIMIT, ("loading", 0), True),
        ("ready", LIMIT, ("draining", 0), True),
        ("loading", 0, None, True),
        ("loading", 0, ("loading", 0), True),
        ("loading", 0, ("ready", LIMIT), False),
        ("failed", 0, ("ready", 0), False),
        ("failed", 0, ("failed", 0), True),
    ],
)
def test_connections_go_to_a_worker_that_is_ready_and_has_room(
    engine: str, load: int, other: tuple[str, int] | None, accepts: bool
) -> None:
    staff = Staff(engine)
    assert staff.accepts(load, other) is accepts
    assert staff.worker.closed_idle == (load == LIMIT and not accepts)


@pytest.mark.parametrize(
    ("limit", "mine", "others", "accepts"),
    [
        (64, (0, 0), [(0, 0)], True),
        (64, (2, 0), [(0, 0)], True),
        (64, (3, 0), [(0, 0)], False),
        (64, (0, 3), [(0, 0)], False),
        (64, (3, 0), [(0, 1), (9, 9)], True),
        (64, (9, 9), [(16, 0), (0, 16)], True),
        (64, (10, 9), [(16, 0), (0, 16)], False),
        (64, (9, 9), [(64, 0)], True),
        (4, (0, 4), [(3, 0)], False),
        (4, (1, 3), [(0, 3)], False),
        (4, (0, 4), [(0, 4)], True),
        (4, (0, 5), [(0, 4)], True),
        (4, (0, 3), [(0, 3)], True),
        (4, (0, 9), [(4, 0)], True),
        (4, (0, 9), [], True),
    ],
)
def test_a_worker_leaves_new_connections_to_one_that_has_fewer(
    limit: int,
    mine: tuple[int, int],
    others: list[tuple[int, int]],
    accepts: bool,
) -> None:
    staff = Staff()
    staff.limits.limit = limit
    staff.worker.loaded, staff.worker.waiting = (
        [connection(state=State.RECEIVING)] * count for count in mine
    )
    for load, waiting in others:
        row = staff.board.take()
        staff.board.write(row, (os.getpid() + 1 + row, 2, 1, load, limit, waiting))
    staff.duty.publish()
    assert staff.duty.accepts() is accepts
    assert not staff.worker.closed_idle


def connection(**facts: object) -> SimpleNamespace:
    defaults = {"busy": False, "idle": True, "served": True, "since": 0.0, "upgraded": None}
    return SimpleNamespace(**{**defaults, **facts})


def test_a_replaced_worker_serves_until_its_successor_is_ready() -> None:
    staff = Staff()
    staff.board.replace(1)
    staff.worker.alive = False
    assert not staff.duty.done()
    assert staff.duty.accepts()
    staff.other("loading")
    assert not staff.duty.done()
    staff.other("ready")
    staff.worker.connections = [connection(busy=True)]
    assert not staff.duty.done()
    assert not staff.duty.accepts()
    staff.worker.connections = []
    assert staff.duty.done()
    assert not staff.engine.drained


def test_a_replaced_worker_without_an_engine_leaves_at_once() -> None:
    staff = Staff("failed")
    staff.board.replace(1)
    staff.worker.alive = False
    assert staff.duty.done()


def test_a_stopping_server_answers_newcomers_while_streams_end() -> None:
    staff = Staff()
    staff.worker.connections = [connection(busy=True)]
    staff.board.stop()
    staff.worker.alive = False
    assert not staff.duty.done()
    assert staff.engine.drained
    assert staff.duty.accepts()
    staff.worker.connections = [connection()]
    assert staff.duty.done()


def test_a_worker_that_leaves_asks_its_sockets_to_end() -> None:
    staff, asked = Staff(), []
    stream = SimpleNamespace(leave=lambda: asked.append("leave"))
    staff.worker.connections = [connection(busy=True, upgraded=stream)]
    assert not staff.duty.done()
    assert asked == []
    staff.board.stop()
    staff.worker.alive = False
    assert not staff.duty.done()
    assert asked == ["leave"]


@pytest.mark.parametrize(
    ("states", "running", "load"),
    [
        ([], LIMIT, LIMIT),
        ([State.RECEIVING], LIMIT - 1, LIMIT),  # a session, and who has just connected
        ([State.RUNNING], 1, 1),
        ([State.RUNNING, State.RUNNING], 1, 2),
        ([State.RUNNING, State.RECEIVING], 2, 3),
    ],
)
def test_what_sessions_say_counts_as_load_beside_the_requests(
    states: list[State], running: int, load: int
) -> None:
    staff = Staff()
    staff.other("ready")
    staff.worker.loaded = [connection(state=state) for state in states]
    staff.limits.running = running
    staff.duty.publish()
    assert staff.board.workers()[0].load == load
    assert staff.duty.accepts() is (load < LIMIT)
    staff.worker.loaded, staff.limits.running = [], 0
    assert staff.duty.accepts(), "what has changed since counts, too"


def test_a_connection_whose_speech_is_made_counts_as_one_that_waits() -> None:
    cfg: Any = SimpleNamespace(is_ssl=False)
    client: Any = SimpleNamespace(expect=lambda _: None)
    request: Any = SimpleNamespace(started=False)
    conn = Connection(cfg, client, ("127.0.0.1", 1), None)
    conn.state = State.RUNNING
    loop: Any = SimpleNamespace(loaded={conn}, waiting=set())
    assert (conn.counts, conn.waits) == (True, False)
    ConnectionLoop.release(loop, conn)
    assert (conn.counts, conn.waits) == (False, True)
    assert (loop.loaded, loop.waiting) == (set(), {conn})
    conn.state = State.LINGERING  # it is not kept alive
    assert (conn.counts, conn.waits) == (False, False)
    conn.served = True
    conn.expect(request, 0.0, 1.0)
    assert (conn.counts, conn.waits) == (False, True)
    request.started = True
    assert (conn.counts, conn.waits) == (True, False)


def test_a_permit_is_free_when_the_others_are_told() -> None:
    limits, running = StreamLimiter(2), []
    limits.on_leave = lambda: running.append(limits.running)
    with limits.enter(), limits.enter():
        assert running == []
    assert running == [1, 0]


def test_a_worker_that_lost_its_master_leaves() -> None:
    staff = Staff()
    staff.worker.parent = False
    assert staff.duty.done()
    assert not staff.duty.accepts()


def test_rows_are_used_again_and_never_run_out_silently() -> None:
    board = Board(2)
    first, second = board.take(), board.take()
    with pytest.raises(StartError, match="more than 2 workers"):
        board.take()
    board.free(first)
    assert board.take() == first != second
    assert board.workers() == []


def test_a_silent_connection_makes_room_before_one_that_sends() -> None:
    waiting = State.RECEIVING
    silent = SimpleNamespace(state=waiting, idle=True, since=9.0)
    older = SimpleNamespace(state=waiting, idle=True, since=5.0)
    sends = SimpleNamespace(state=waiting, idle=False, since=1.0)
    runs = SimpleNamespace(state=State.RUNNING, idle=False, since=0.0)
    assert crowd().longest_waiting([silent, older, sends, runs]) is older
    assert crowd().longest_waiting([sends, runs]) is sends
    assert crowd().longest_waiting([runs]) is None


def crowd(per_address: int = 0) -> Crowd:
    cfg = SimpleNamespace(
        forwarded_allow_ips=["10.0.0.9"],
        limit_request_line=4094,
        limit_request_fields=100,
        limit_request_field_size=8190,
    )
    return Crowd(cfg, Settings(max_connections_per_address=per_address))


@pytest.mark.parametrize(
    ("address", "count", "limit", "too_many"),
    [
        (("203.0.113.5", 1), 3, 2, True),
        (("203.0.113.5", 1), 2, 2, False),
        (("203.0.113.5", 1), 3, 0, False),
        (("127.0.0.1", 1), 3, 2, False),
        (("::1", 1, 0, 0), 3, 2, False),
        (("10.0.0.9", 1), 3, 2, False),
        ("", 3, 2, False),
    ],
)
def test_an_address_has_at_most_its_connections(
    address: object, count: int, limit: int, too_many: bool
) -> None:
    conns: list[Any] = [SimpleNamespace(client=address) for _ in range(count)]
    assert crowd(limit).is_too_many(conns[-1], conns) is too_many


@pytest.mark.parametrize(
    ("limits", "connections", "soft"),
    [
        ((256, resource.RLIM_INFINITY), 500, 500 + 256 + 2 * 80),
        ((256, 4096), 500, 500 + 256 + 2 * 80),
        ((100_000, 100_000), 500, None),
        ((256, 600), 600 - 256 - 2 * 80, 600),
    ],
)
def test_handles_are_raised_to_what_connections_need(
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    connections: int,
    soft: int | None,
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: raised.append(pair))
    assert handles.connections(Settings(max_connections=500)) == connections
    assert raised == ([(soft, limits[1])] if soft else [])


def test_too_few_handles_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    with pytest.raises(StartError, match="ulimit -n"):
        handles.connections(Settings())


def test_the_beginning_and_the_end_of_each_stream_are_told() -> None:
    limits, told = StreamLimiter(1), []
    limits.on_enter = limits.on_leave = lambda: told.append(limits.running)
    with limits.enter(), pytest.raises(Overloaded):
        limits.enter()
    with limits.reenter(0.0, lambda: False):
        pass
    assert told == [1, 0, 1, 0]
