"""Which GPU each worker is given: gunicorn's hooks, with a fake of its master process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tests.support.fake_gpus import PLUGIN, hide_gpus, list_gpus, many
from tests.support.gunicorn_config import config
from voxcpm_openai import gpus, serving
from voxcpm_openai.server.board import Board, BoardRow
from voxcpm_openai.server.worker import Worker

CUDA = gpus.CUDA


class Arbiter:
    """What our hooks need of gunicorn's arbiter; its workers are never forked."""

    started: ClassVar[list[Arbiter]] = []

    def __init__(self, cfg: Any) -> None:
        self.cfg, self.num_workers, self.worker_age = cfg, cfg.workers, 0
        self.systemd = False
        self.log = SimpleNamespace(setup=lambda _: None)
        self.workers: list[Any] = []
        self.environments: list[str | None] = []
        self.reload = self.stop = lambda *_: None
        cfg.on_starting(self)
        self.started.append(self)

    def spawn(self) -> Any:
        """Do what gunicorn does for a new worker, with the child's environment in between."""
        self.worker_age += 1
        worker: Any = SimpleNamespace(age=self.worker_age, cfg=self.cfg, sockets=(), ppid=1, pid=0)
        worker.join = partial(Worker.join, worker)
        self.cfg.pre_fork(self, worker)
        before = dict(os.environ)
        self.cfg.post_fork(self, worker)
        worker.sees = os.environ.get(CUDA)
        os.environ.clear()
        os.environ.update(before)
        self.workers.append(worker)
        return worker

    def fill(self) -> list[str | None]:
        return [self.spawn().sees for _ in range(self.num_workers - len(self.workers))]

    def end(self, worker: Any) -> None:
        self.workers.remove(worker)
        self.cfg.child_exit(self, worker)


@pytest.fixture(autouse=True)
def end() -> Iterator[None]:
    """Let all servers end that a test has started."""
    yield
    while Arbiter.started:
        arbiter = Arbiter.started.pop()
        arbiter.cfg.on_exit(arbiter)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that starts a server on a machine with four GPUs."""
    hide_gpus(monkeypatch, tmp_path)
    list_gpus(monkeypatch, tmp_path, many(4))
    monkeypatch.setattr(serving._Process, "serving", None)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "graphics.py").write_text(PLUGIN)

    def start(**settings: str) -> Arbiter:
        made = {"engine": "graphics", "plugins_dir": str(tmp_path / "plugins"), **settings}
        return Arbiter(config(monkeypatch, **made))

    return start


def test_each_worker_is_given_its_own_gpu(machine: Any) -> None:
    arbiter = machine()
    assert arbiter.cfg.workers == arbiter.num_workers == 4
    assert arbiter.fill() == ["0", "1", "2", "3"]
    assert CUDA not in os.environ


def test_a_new_worker_takes_the_gpu_of_the_dead_one(machine: Any) -> None:
    arbiter = machine()
    arbiter.fill()
    for victim in (2, 0, 3):
        gpu = arbiter.workers[victim].sees
        arbiter.end(arbiter.workers[victim])
        assert arbiter.fill() == [gpu]


@pytest.mark.parametrize(
    ("settings", "visible"),
    [
        ({"workers": "2"}, ["0", "1"]),
        ({"workers": "6"}, ["0", "1", "2", "3", "0", "1"]),
        ({"graphics_device": "cuda:2"}, ["2"]),
        ({"graphics_device": "cuda:2", "workers": "2"}, ["2", "2"]),
        ({"graphics_device": "cpu"}, [None]),
        ({"graphics_device": "cpu", "workers": "3"}, [None, None, None]),
        ({"graphics_device": "xpu"}, [None]),
    ],
)
def test_the_settings_decide_how_many_workers_share_the_gpus(
    machine: Any, settings: dict[str, str], visible: list[str | None]
) -> None:
    assert machine(**settings).fill() == visible


def test_the_number_of_gunicorns_own_options_wins(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = machine().cfg
    cfg.set("workers", 3)
    assert Arbiter(cfg).fill() == ["0", "1", "2"]


def test_after_a_reload_each_gpu_has_an_old_and_a_new_worker_and_then_the_new_one(
    machine: Any,
) -> None:
    arbiter = machine()
    arbiter.fill()
    arbiter.end(arbiter.workers[1])  # it is replaced, so that the ages are out of order
    arbiter.fill()
    old, arbiter.workers = arbiter.workers, []
    arbiter.voxcpm_openai.board.replace(arbiter.worker_age)
    assert sorted(filter(None, arbiter.fill())) == ["0", "1", "2", "3"]
    new = list(arbiter.workers)
    lost = next(worker for worker in new if worker.sees == "3")
    leaves_late = next(worker for worker in old if worker.sees == "3")
    for worker in old:
        if worker is not leaves_late:
            arbiter.workers.append(worker)
            arbiter.end(worker)
    arbiter.end(lost)  # the old worker of its GPU still sends a stream
    assert arbiter.fill() == ["3"]
    assert Counter(worker.sees for worker in arbiter.workers) == Counter("0123")


def test_a_reload_counts_the_workers_anew(
    machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arbiter = machine()
    arbiter.cfg.set("workers", 0)  # what the configuration says when it is read again
    arbiter.num_workers = 0
    arbiter.cfg.on_reload(arbiter)
    assert arbiter.cfg.workers == arbiter.num_workers == 4


def state_row(board: Board, age: int, gpu: str, state: int) -> BoardRow:
    """Take a row, and say how its worker is: 0 loading, 1 ready, 2 failed."""
    row = board.take(age, gpu)
    board.write(row, (os.getpid() + age, age, state, 0, 4, 0))
    return BoardRow(board, row, age)


@pytest.mark.parametrize(
    ("own", "other", "leaves"),
    [
        (1, 0, True),
        (0, 1, False),
        (2, 1, False),  # its engine did not find room on the GPU, perhaps
        (None, 1, True),  # there are fewer workers than before
        (None, 0, False),
    ],
)
def test_a_replaced_worker_waits_for_the_new_one_of_its_gpu(
    own: int | None, other: int, leaves: bool
) -> None:
    board = Board(8)
    old = state_row(board, 1, "0", 1)
    state_row(board, 2, "1", 1)
    board.replace(2)
    if own is not None:
        state_row(board, 3, "0", own)
    state_row(board, 4, "1", other)
    assert old.has_successor() is leaves


def test_a_worker_that_is_about_to_start_counts_as_the_new_one_of_its_gpu() -> None:
    board = Board(8)
    old = state_row(board, 1, "0", 1)
    board.replace(1)
    board.take(2, "0")
    state_row(board, 3, "1", 1)
    assert not old.has_successor()
    assert [worker.gpu for worker in board.workers()] == ["0", "1"]
