"""A worker that is stopped before its app is loaded, and one that cannot accept."""

from __future__ import annotations

import errno
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from voxcpm_openai.server.worker import Worker


def unloaded() -> Any:
    """Return a worker as it is before ``load_wsgi``."""
    return Worker.__new__(Worker)


def test_a_worker_whose_app_did_not_load_has_no_engine_to_stop() -> None:
    unloaded().stop_engine()


def test_a_worker_can_be_told_to_stop_while_its_app_loads() -> None:
    worker = unloaded()
    worker.alive, worker.method_queue = True, SimpleNamespace(defer=lambda _: None)
    worker.handle_exit(signal.SIGTERM, None)
    assert not worker.alive


@pytest.mark.parametrize(
    ("number", "most"),
    [(errno.EMFILE, 84), (errno.ENFILE, 84), (errno.ECONNABORTED, 500), (errno.EPROTO, 500)],
)
def test_only_a_lack_of_handles_lowers_the_limit_of_connections(number: int, most: int) -> None:
    worker = unloaded()
    worker.worker_connections = 500
    waiting = set(range(100))
    worker._loop = SimpleNamespace(connections=waiting, drop=waiting.discard)
    worker._crowd = SimpleNamespace(longest_waiting=lambda all_: next(iter(all_), None))
    worker._cannot_accept(OSError(number, "as the system says"))
    assert worker.worker_connections == most
    assert len(waiting) == (most - 1 if most < 100 else 100)
