"""What gunicorn's master process does beyond gunicorn: checked reloads, and messages to systemd."""

from __future__ import annotations

import copy
import importlib
import logging
import os
import signal
import socket
import ssl
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from voxcpm_openai.addresses import Listener
from voxcpm_openai.errors import SettingsError, StartError
from voxcpm_openai.metrics.folder import MetricsFolder
from voxcpm_openai.server import handles
from voxcpm_openai.server.board import Board
from voxcpm_openai.serving import Serving
from voxcpm_openai.settings import Settings, load_settings
from voxcpm_openai.start_checks import examine
from voxcpm_openai.worker_plan import WorkerPlan

logger = logging.getLogger(__name__)

MOST_WORKERS = 1024
"""Old and new ones together, after a reload."""
READY = signal.SIGURG
"""What a worker whose engine is ready sends to the master.  Ignored by default, and by gunicorn."""


class Master:
    """Extends gunicorn's arbiter, by whose hooks it is called.

    A reload (SIGHUP) with settings that are wrong is refused: the workers go on with the old ones.
    systemd is notified when the server is ready, reloads and stops, if it asks for it.
    """

    def __init__(
        self, arbiter: Any, configuration: ModuleType, settings: Settings, folder: Path
    ) -> None:
        """Check whether the server can start.  Raises StartError with every problem.

        ``configuration``: the module from which gunicorn's configuration comes, made of the
        ``settings``; ``folder``: the parent of the metrics' folder.
        """
        # Before plugins are loaded: one may import prometheus_client.
        self.metrics = MetricsFolder(folder, uid=arbiter.cfg.uid, gid=arbiter.cfg.gid)
        try:
            self._plan = _check(settings, arbiter.cfg, ())
        except StartError:
            self.metrics.remove()
            raise
        self.board = Board(MOST_WORKERS)
        self._settings = settings
        self._arbiter = arbiter
        self._configuration = configuration
        self._ready = False
        self._reload, self._stop = arbiter.reload, arbiter.stop
        arbiter.reload, arbiter.stop = self.reload, self.stop
        self.count_workers()
        # gunicorn would say that it is ready as soon as it listens.
        self._notify_socket = os.environ.pop("NOTIFY_SOCKET", None)
        if self._notify_socket:
            signal.signal(READY, lambda *_: self._report_ready())

    def serving(self, worker: Any) -> Serving:
        """Return what a worker that has just been forked must know."""
        tls = bool(worker.cfg.is_ssl)
        return Serving(
            settings=self._settings,
            listeners=tuple(
                Listener(_name(one), tls)
                for one in worker.sockets
                if one.cfg_addr != self._settings.admin_address
            ),
            report_ready=partial(_signal, worker.ppid) if self._notify_socket else _no_report,
            workers=max(1, self._arbiter.num_workers),
        )

    def count_workers(self) -> None:
        """Tell gunicorn how many workers there are, unless its configuration has a number."""
        if not self._arbiter.cfg.workers:
            self._arbiter.cfg.set("workers", self._plan.workers)
            self._arbiter.num_workers = self._plan.workers
            logger.info("workers: %d (%s)", self._plan.workers, self._plan.reason)

    def next_gpu(self) -> str:
        """Return the GPU for a worker that is about to start; empty if it is given none."""
        return self.board.least_used(self._plan.gpus)

    def reload(self) -> None:
        """Start workers with the settings as they are now, and stop the others.

        If something is wrong with them, log it in one line and change nothing.
        """
        if self._ready:
            self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings, plan = self._reread()
        except StartError as error:
            problems = "; ".join(str(error).split("\n"))
            logger.error(  # noqa: TRY400  (a trace says nothing more)
                "not reloaded, the workers go on with the old settings: %s", problems
            )
            if self._ready:
                self._report_ready()
            return
        self._settings, self._plan = settings, plan
        self.board.replace(self._arbiter.worker_age)
        before = self._arbiter.cfg.address
        self._reload()
        if not self._arbiter.systemd:  # else the sockets are not ours
            for address in before:
                if _is_path(address) and address not in self._arbiter.cfg.address:
                    Path(address).unlink(missing_ok=True)

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers."""
        self.board.stop()
        self._notify("STOPPING=1")
        self._stop(graceful)

    def _reread(self) -> tuple[Settings, WorkerPlan]:
        """Return the settings and the workers as they are now.

        Raises StartError if a server cannot start so.
        """
        settings = load_settings()
        handles.connections(settings)
        importlib.reload(self._configuration)  # gunicorn gets it from the cache of the imports
        application = copy.copy(self._arbiter.app)
        try:
            application.do_load_config()
        except SystemExit as error:  # gunicorn has printed what is wrong with its own options
            raise SettingsError("gunicorn's configuration is wrong; see above.") from error
        return settings, _check(settings, application.cfg, self._arbiter.cfg.address)

    def _report_ready(self) -> None:
        self._ready = True
        self._notify("READY=1")

    def _notify(self, state: str) -> None:
        """Send a state to systemd (see sd_notify), if it asks for it."""
        if not (path := self._notify_socket):
            return
        if path.startswith("@"):  # an abstract socket
            path = "\0" + path[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.sendto(state.encode(), path)
        except OSError as error:
            logger.warning(
                "systemd cannot be notified of %s: %s", state.partition("\n")[0], error.strerror
            )


def _check(settings: Settings, configuration: Any, ours: Any) -> WorkerPlan:
    """Return the workers of a server that starts so; ``ours``: where this one listens already.

    Raises StartError if it cannot.
    """
    # gunicorn itself waits for a port that is in use; it would remove the socket of another server.
    free = configuration.address if ours else [a for a in configuration.address if _is_path(a)]
    inherited = not {"GUNICORN_FD", "LISTEN_FDS"}.isdisjoint(os.environ)
    report = examine(
        settings,
        configuration.address,
        must_be_free=() if inherited else [a for a in free if a not in ours],
        workers=configuration.workers or "auto",
    )
    for warning in report.warnings:
        logger.warning("%s", warning)
    problems = [*report.problems, *_tls_problems(configuration)]
    if problems or report.plan is None:
        raise StartError("\n".join(problems))
    return report.plan


def _tls_problems(configuration: Any) -> list[str]:
    """List what is wrong with the certificate."""
    if not configuration.is_ssl:
        return []
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=configuration.ca_certs)
        context.load_cert_chain(configuration.certfile, configuration.keyfile)
    except (OSError, TypeError) as error:
        return [f"the certificate {configuration.certfile} cannot be used: {error}."]
    return []


def _is_path(address: object) -> bool:
    return isinstance(address, str)


def _name(listener: Any) -> str | tuple[str, int]:
    name = listener.getsockname()
    return name if isinstance(name, str) else (name[0], name[1])


def _signal(master: int) -> None:
    with suppress(OSError):
        os.kill(master, READY)


def _no_report() -> None:
    """Report nothing: the server does not run under systemd."""
