"""What gunicorn makes of ``gunicorn.conf.py``; it ignores names that it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gunicorn_config import config
from voxcpm_openai.server.worker import Worker

CHOSEN = {
    "timeout": 120,  # seconds without a heartbeat of the worker
    "keepalive": 75,  # seconds; nginx's connections idle for 60, so that it closes first
    "preload_app": False,  # CUDA does not survive a fork
    "control_socket_disable": True,  # servers of one user would share its path
    "accesslog": None,  # a line a request is written by the app
}
"""What does not depend on the settings."""


@pytest.mark.parametrize("name", CHOSEN)
def test_what_was_chosen_reaches_gunicorn(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert getattr(config(monkeypatch), name) == CHOSEN[name]


def test_the_settings_reach_gunicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(
        monkeypatch,
        host="::1",
        port="8000",
        workers="3",
        max_streams="10",
        graceful_timeout="45",
        log_level="warning",
    )
    assert made.address == [("::1", 8000)]
    assert made.workers == 3
    assert made.graceful_timeout == 45
    assert made.loglevel == "warning"
    assert made.logconfig_dict["root"]["level"] == "WARNING"
    assert made.worker_class is Worker


def test_probes_find_a_thread_and_a_connection_beside_all_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = config(monkeypatch, max_streams="10")
    assert made.threads == 26
    assert made.worker_connections == 2048  # those that idle or send slowly need no thread


def test_the_heartbeat_does_not_wait_for_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = config(monkeypatch).worker_tmp_dir
    assert folder == ("/dev/shm" if Path("/dev/shm").is_dir() else None)


def test_the_engine_stops_with_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = []

    class Stopping:
        def stop_engine(self) -> None:
            stopped.append(self)

    worker = Stopping()
    config(monkeypatch).worker_exit(None, worker)
    assert stopped == [worker]
