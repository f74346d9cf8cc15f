"""The gunicorn worker: gthread, whose threads handle whole requests and never wait for a client.

The event loop receives requests (``Receiver``) and sends what clients have not taken
(``Outbox``); a thread of the pool gets a request when all of it is here, and is free again when the
response is made.  Slow, silent and vanished clients cost a connection, not a thread.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from threading import Thread, local
from typing import Any

from flask import Flask
from gunicorn.workers.gthread import ThreadWorker

from voxcpm_openai.server import answers
from voxcpm_openai.server.arenas import limit_arenas
from voxcpm_openai.server.board import Board, BoardRow
from voxcpm_openai.server.client_socket import WOULD_BLOCK, ClientSocket
from voxcpm_openai.server.connection import Connection, prepared
from voxcpm_openai.server.connection_loop import ConnectionLoop
from voxcpm_openai.server.crowd import Crowd
from voxcpm_openai.server.duty import Duty
from voxcpm_openai.server.upgraded import Upgraded
from voxcpm_openai.web.app_context import BODY_LIMIT, STARTED, WORKERS, context_of
from voxcpm_openai.web.sockets.channel import ByteStream

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds without new connections when none could be accepted, and none closed."""
RECHECK = 0.05
"""Seconds after which a worker that leaves new connections to others looks at them again."""
RESERVE = 16
"""File handles that stay free for requests when the process has run out of them."""
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What ``accept`` fails with when the process or the system has no more handles or memory."""
PROBES = tuple(
    f"{method} /{path}".encode()
    for method in ("GET", "HEAD")
    for path in ("health", "ready", "metrics")
)
"""The starts of requests that have a thread of their own."""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """One process: one app, one engine, an event loop, a pool of threads."""

    wsgi: object = None
    """The app, once it is loaded."""

    def join(self, board: Board, gpu: str = "") -> None:
        """Take a row of the board, and a GPU; the master calls this before it forks."""
        self._board = board
        self.row = board.take(self.age, gpu)

    def init_process(self) -> None:
        """Load the app and run; called in the new process, before it has threads."""
        limit_arenas()
        super().init_process()

    def run(self) -> None:
        """Run the event loop until the worker may leave."""
        assert isinstance(self.wsgi, Flask)
        context, row = context_of(self.wsgi), BoardRow(self._board, self.row, self.age)
        self.wsgi.extensions[WORKERS] = lambda: list(map(asdict, row.board.workers()))
        self.wsgi.extensions[STARTED] = lambda: row.board.last_age
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._duty = Duty(self, row, context)
        self._crowd = Crowd(self.cfg, context.settings)
        limits = self._crowd.head_limit, int(self.wsgi.config[BODY_LIMIT])
        self._loop = ConnectionLoop(
            self.poller, context.settings, limits, self.enqueue_req, self._duty.keep_alive
        )
        # The others must know at once: the audio of sockets passes this loop by.
        context.limits.on_enter = partial(self.method_queue.defer, lambda: None)
        self._loop.on_refusal = context.metrics.refused
        self._state, self._admin = context.state, context.settings.admin_address
        self._state.start()
        self._no_accept_until = 0.0
        self._handled = local()
        context.limits.on_leave = self._release
        self.poller.register(
            self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks
        )
        while not self._duty.done():
            self.notify()
            self._duty.publish()
            accepts = self._accepts()
            self.set_accept_enabled(accepts)
            self.wait_for_and_dispatch_events(timeout=1.0 if accepts else RECHECK)
            self._loop.expire()
        self._close()

    @property
    def connections(self) -> Collection[Connection]:
        """All connections."""
        return self._loop.connections

    @property
    def loaded(self) -> Collection[Connection]:
        """Those that have, or may soon have, a running request."""
        return self._loop.loaded

    @property
    def waiting(self) -> Collection[Connection]:
        """Those that may bring another request: kept alive, or WebSockets."""
        return self._loop.waiting

    def accept(self, listener: Any) -> None:
        """Accept a connection, and wait for its request without a thread."""
        if not self._duty.accepts():  # another worker may have got room since
            return
        try:
            raw, address = listener.accept()
        except WOULD_BLOCK:
            return
        except OSError as error:
            self._cannot_accept(error)
            return
        try:
            conn = self._connection(prepared(self.cfg, raw), address)
            conn.sock.admin = listener.cfg_addr == self._admin
        except OSError as error:  # the client has left
            logger.debug("connection broken: %s", error)
            raw.close()
            return
        self._loop.add(conn)
        if self._crowd.is_too_many(conn, self.connections):
            message = f"There are too many connections from {address[0]}."
            self._loop.refuse(conn, 429, message, "too_many_connections")
        else:
            self._loop.on_event(conn)

    def enqueue_req(self, conn: Connection) -> None:
        """Hand a whole request to a thread; probes have one of their own."""
        pool = self._probes if conn.request.head.startswith(PROBES) else self.tpool
        done = pool.submit(self._serve, conn)
        done.add_done_callback(lambda _: self.method_queue.defer(self.finish_request, conn, done))

    def handle(self, conn: Connection) -> Any:
        """Handle the request of a connection, in a thread of the pool."""
        self._handled.conn = conn
        try:
            return super().handle(conn)
        finally:
            del self._handled.conn

    def _release(self) -> None:
        """Tell the other workers that a place is free, before a client knows.

        It may come back at once over a new connection, and a full worker must not take that.
        """
        if conn := getattr(self._handled, "conn", None):
            self._loop.release(conn)
        self._duty.publish()
        self.method_queue.defer(self._duty.publish)  # wakes the event loop: it may accept again

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """Handle a request, in a thread of the pool."""
        req._expected_100_continue = False  # the event loop has answered that
        conn.begin_response(req.version)
        try:
            return bool(super().handle_request(req, conn))
        except BaseException:
            conn.break_off()
            raise

    def handle_error(
        self,
        req: object,  # noqa: ARG002  # gunicorn's signature
        client: ClientSocket,
        addr: object,  # noqa: ARG002
        exc: BaseException,
    ) -> None:
        """Answer errors of requests that never reached the app, in the same envelope."""
        try:
            client.sendall(answers.failure(exc))
        except OSError:
            logger.debug("the client left before its error")

    def finish_request(self, conn: Connection, done: Future[object]) -> None:
        """Go on with a connection whose thread is done; called in the event loop."""
        failed = done.cancelled() or done.exception() is not None
        if failed or conn.upgraded is None:
            self._loop.finish(conn, keep=not failed and bool(done.result()))

    def _serve(self, conn: Connection) -> object:
        """Handle a request, and let a handler have the connection, in a thread of the pool.

        To start a thread takes long when many run, and may fail: not in the event loop.
        """
        keep = self.handle(conn)
        if conn.sock.handler is not None:
            self._upgrade(conn, conn.sock.handler)
        return keep

    def _upgrade(self, conn: Connection, handler: Callable[[ByteStream], None]) -> None:
        """Let a handler have a connection, in a thread of its own."""
        stream = Upgraded(conn.sock, lambda: self.method_queue.defer(self._loop.on_event, conn))
        end = partial(self.method_queue.defer, partial(self._loop.finish, conn, keep=False))

        def run() -> None:
            try:
                handler(stream)
            except Exception:  # the handler is the app's: any fault of it ends this connection only
                logger.exception("a connection failed after its upgrade")
            finally:
                end()

        self.method_queue.defer(self._loop.upgrade, conn, stream)
        try:
            Thread(target=run, name="websocket", daemon=True).start()
        except RuntimeError as error:
            logger.error("a connection is closed after its upgrade: %s", error)  # noqa: TRY400
            end()

    def close_idle(self) -> None:
        """Close the connections that wait for a request: clients find another worker."""
        self._loop.drop_idle()

    def stop_engine(self) -> None:
        """Stop the engine, after the last request."""
        if isinstance(self.wsgi, Flask):
            context_of(self.wsgi).engine.stop()

    def _connection(self, raw: socket.socket, address: object) -> Connection:
        def on_unsent() -> None:
            self.method_queue.defer(self._loop.watch, conn)

        client = ClientSocket(raw, self._loop.space, on_unsent)
        conn = Connection(self.cfg, client, address, raw.getsockname())
        return conn

    def _accepts(self) -> bool:
        """Return whether to accept connections now."""
        if time.monotonic() < self._no_accept_until or not self._duty.accepts():
            return False
        return len(self.connections) < self.worker_connections or self._make_room()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest.  Return False if all are in use."""
        if (conn := self._crowd.longest_waiting(self.connections)) is not None:
            self._loop.drop(conn)
        return conn is not None

    def _cannot_accept(self, error: OSError) -> None:
        """Keep fewer connections from now on, so that requests find file handles; or pause."""
        if error.errno not in EXHAUSTED:  # a fault of the one connection: accept(2)
            logger.debug("a connection broke before it was accepted: %s", error)
            return
        self.worker_connections = max(1, len(self.connections) - RESERVE)
        logger.error("%s: at most %d connections from now on", error, self.worker_connections)
        while len(self.connections) >= self.worker_connections and self._make_room():
            pass
        if len(self.connections) >= self.worker_connections:
            self._no_accept_until = time.monotonic() + PAUSE

    def _close(self) -> None:
        """Close everything."""
        self._state.stop()
        self.set_accept_enabled(False)
        self._loop.drop_all()
        self.tpool.shutdown(wait=False)
        self._probes.shutdown(wait=False)
        self.poller.close()
        self.method_queue.close()
        for listener in self.sockets:
            listener.close()
