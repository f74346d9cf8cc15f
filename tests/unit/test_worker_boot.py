"""A worker that is stopped before its app is loaded."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

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
