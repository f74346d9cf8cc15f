"""gunicorn's configuration, from the settings: ``gunicorn -c gunicorn.conf.py wsgi:app``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from voxcpm_openai import gpus
from voxcpm_openai.errors import StartError
from voxcpm_openai.logs import logging_config
from voxcpm_openai.master import Master
from voxcpm_openai.server import handles
from voxcpm_openai.serving import belong_to
from voxcpm_openai.settings import load_settings


def on_starting(server: Any) -> None:
    """Check all that a start needs before a worker is forked."""
    try:
        server.voxcpm_openai = Master(server, sys.modules[__name__], _settings, _runtime_folder)
    except StartError as error:
        sys.exit("\n".join(f"voxcpm-openai cannot start: {one}" for one in str(error).split("\n")))


def on_reload(server: Any) -> None:
    """Set the number of the new workers, and how they log."""
    server.log.setup(server.cfg)
    server.voxcpm_openai.count_workers()


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker its row of the board, and a GPU if the engine runs on GPUs."""
    worker.join(server.voxcpm_openai.board, server.voxcpm_openai.next_gpu())


def post_fork(server: Any, worker: Any) -> None:
    """Give a new worker the settings that were checked, and the sockets it serves."""
    if gpu := server.voxcpm_openai.board.gpu_of(worker.row):
        gpus.give(gpu)  # before anything imports torch
    belong_to(server.voxcpm_openai.serving(worker))


def child_exit(server: Any, worker: Any) -> None:
    """Free the row and the GPU of a worker that has ended, also one that was killed."""
    server.voxcpm_openai.board.free(worker.row)
    server.voxcpm_openai.metrics.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Remove the folder of the metrics."""
    server.voxcpm_openai.metrics.remove()


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Stop the engine with its worker."""
    worker.stop_engine()


try:
    _settings = load_settings()
    worker_connections = handles.connections(_settings)
except StartError as error:
    sys.exit(f"voxcpm-openai cannot start: {error}")

bind = _settings.binds
workers = 0 if _settings.workers == "auto" else _settings.workers  # 0: `Master` counts them
worker_class = "voxcpm_openai.server.worker.Worker"
threads = handles.threads(_settings)
sendfile = False  # a response is sent by the event loop
_shm = Path("/dev/shm")
# Writes to a disk could stall the heartbeat and the metrics of requests.
_runtime_folder = _shm if os.access(_shm, os.W_OK) else Path(tempfile.gettempdir())
worker_tmp_dir = str(_runtime_folder)
preload_app = False  # CUDA does not survive a fork
timeout = 120  # for a worker that hangs; gthread's main loop beats during long streams, too
graceful_timeout = _settings.graceful_timeout
keepalive = 75  # longer than the idle times of nginx and most pools, so that these close first
control_socket_disable = True  # two instances of one user would share the socket's path
loglevel = _settings.log_level
accesslog = None  # web/access_log.py writes one line per request
logconfig_dict = logging_config(_settings.log_level, _settings.log_format)
