"""gunicorn's configuration, from the settings: ``gunicorn -c gunicorn.conf.py wsgi:app``."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import Any

from voxcpm_openai.errors import StartError
from voxcpm_openai.lexicons import server_lexicon
from voxcpm_openai.registry import choose_engine, load_registry
from voxcpm_openai.server import handles
from voxcpm_openai.server.board import Board
from voxcpm_openai.settings import Settings, load_settings

MOST_WORKERS = 1024
"""Old and new ones together, after a reload."""
SPARE_THREADS = 16
"""Threads beyond the streams, so that probes and listings are always answered."""


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_open(hosts: list[str], settings: Settings) -> None:
    """Raise StartError if the server would listen beyond loopback without API keys."""
    if settings.api_keys or settings.allow_open:
        return
    if beyond := [host for host in hosts if not is_loopback(host)]:
        raise StartError(
            f"listening on {', '.join(beyond)} would admit anyone. Set VOXCPM_API_KEYS, or "
            "VOXCPM_ALLOW_OPEN=1 if that is intended."
        )


def on_starting(server: Any) -> None:
    """Check the settings, the plugins, the engine and the lexicon before a worker is forked."""
    hosts = [
        address[0] if isinstance(address, tuple) else f"unix:{address}"
        for address in server.cfg.address
    ]
    try:
        check_open(hosts, _settings)
        choose_engine(load_registry(_settings), _settings)
        server_lexicon(_settings)
        connections = handles.connections(_settings.max_connections, threads)
    except StartError as error:
        sys.exit(f"voxcpm-openai cannot start: {error}")
    server.cfg.set("worker_connections", connections)
    _keep_board(server)


def _keep_board(server: Any) -> None:
    """Make the board, and note on it what the master is told: a stop, a reload."""
    board, stop, reload = Board(MOST_WORKERS), server.stop, server.reload

    def stop_all(graceful: bool = True) -> None:
        board.stop()
        stop(graceful)

    def replace_all() -> None:
        board.replace(server.worker_age)
        reload()

    server.board, server.stop, server.reload = board, stop_all, replace_all


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker its row of the board."""
    worker.join(server.board)


def child_exit(server: Any, worker: Any) -> None:
    """Free the row of a worker that has ended, however it did."""
    server.board.free(worker.row)


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Stop the engine with its worker."""
    worker.stop_engine()


try:
    _settings = load_settings()
except StartError as error:
    sys.exit(f"voxcpm-openai cannot start: {error}")

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"
workers = _settings.workers
worker_class = "voxcpm_openai.server.worker.Worker"
threads = _settings.max_streams + SPARE_THREADS
worker_connections = _settings.max_connections  # `on_starting` lowers it to the file handles
sendfile = False  # a response is sent by the event loop
_shm = Path("/dev/shm")
worker_tmp_dir = str(_shm) if _shm.is_dir() else None  # a disk could stall the heartbeat
preload_app = False  # CUDA does not survive a fork
timeout = 120  # for a worker that hangs; gthread's main loop beats during long streams, too
graceful_timeout = _settings.graceful_timeout
keepalive = 75  # longer than the idle times of nginx and most pools, so that these close first
control_socket_disable = True  # two instances of one user would share the socket's path
loglevel = _settings.log_level
accesslog = None  # web/access_log.py writes one line per request
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": _settings.log_level.upper(), "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {"propagate": True, "handlers": []},
        "gunicorn.access": {"propagate": False, "handlers": []},
    },
}
