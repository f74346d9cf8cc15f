"""gunicorn's configuration, from the settings: ``gunicorn -c gunicorn.conf.py wsgi:app``."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import Any

from voxcpm_openai.errors import StartError
from voxcpm_openai.registry import choose_engine, load_registry
from voxcpm_openai.settings import Settings, load_settings

SPARE_THREADS = 16
"""Threads beyond the streams: probes and listings are answered however many streams run."""


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_open(hosts: list[str], settings: Settings) -> None:
    """Raise StartError where strangers could use the server: beyond loopback and without keys."""
    if settings.api_keys or settings.allow_open:
        return
    if beyond := [host for host in hosts if not is_loopback(host)]:
        raise StartError(
            f"listening on {', '.join(beyond)} would let everybody in. Set VOXCPM_API_KEYS, or "
            "VOXCPM_ALLOW_OPEN=1 if that is what you want."
        )


def on_starting(server: Any) -> None:
    """Find every fault that can be found before a worker is forked, and stop with its message."""
    hosts = [
        address[0] if isinstance(address, tuple) else f"unix:{address}"
        for address in server.cfg.address
    ]
    try:
        check_open(hosts, _settings)
        choose_engine(load_registry(_settings), _settings)
    except StartError as error:
        sys.exit(f"voxcpm-openai cannot start: {error}")


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
worker_class = "voxcpm_openai.web.worker.Worker"
threads = _settings.max_streams + SPARE_THREADS
worker_connections = 4 * threads
_shm = Path("/dev/shm")
worker_tmp_dir = str(_shm) if _shm.is_dir() else None  # a disk could stall the heartbeat
preload_app = False  # CUDA does not survive a fork
timeout = 120  # of a worker that hangs: gthread's main loop beats, however long a stream takes
graceful_timeout = _settings.graceful_timeout
keepalive = 75  # longer than nginx's and most pools' idle times, so that they close first
control_socket_disable = True  # two instances of one user would share the socket's path
loglevel = _settings.log_level
accesslog = None  # web/log.py writes one line a request
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
