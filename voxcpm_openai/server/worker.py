"""The gunicorn worker: gthread, whose threads handle whole requests and never wait for a client.

The event loop receives requests (``Receiver``) and sends what clients have not taken
(``Outbox``); a thread of the pool gets a request when all of it is here, and is free again when the
response is made.  Slow, silent and vanished clients cost a connection, not a thread.
"""

from __future__ import annotations

import errno
import logging
import selectors
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

from flask import Flask
from gunicorn.workers.gthread import ThreadWorker

from voxcpm_openai.server import answers
from voxcpm_openai.server.board import Board, BoardRow
from voxcpm_openai.server.client_socket import WOULD_BLOCK, ClientSocket
from voxcpm_openai.server.connection import Connection, State, prepared
from voxcpm_openai.server.crowd import Crowd
from voxcpm_openai.server.duty import Duty
from voxcpm_openai.server.receiver import Receiver
from voxcpm_openai.web.app_context import BODY_LIMIT, WORKERS, context_of

logger = logging.getLogger(__name__)

LINGER_SECONDS = 10.0
LINGER_BYTES = 64 * 1024 * 1024
"""How long, and how much, a client that is refused may go on sending before it is cut off."""
PAUSE = 1.0
"""Seconds without new connections after one could not be accepted."""
PROBES = (b"GET /health", b"GET /ready", b"HEAD /health", b"HEAD /ready")
"""The starts of requests that have a thread of their own."""
TLS_HELLO = b"\x16"


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """One process: one app, one engine, an event loop, a pool of threads."""

    wsgi: object = None
    """The app, once it is loaded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: set[Connection] = set()
        self._no_accept_until = 0.0

    def join(self, board: Board) -> None:
        """Take a row of the board; the master calls this before it forks."""
        self._board = board
        self.row = board.take()

    def init_process(self) -> None:
        """Make the pool for probes, load the app and run; called in the new process."""
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="probe")
        super().init_process()

    def run(self) -> None:
        """Run the event loop until the worker may leave."""
        assert isinstance(self.wsgi, Flask)
        context, row = context_of(self.wsgi), BoardRow(self._board, self.row, self.age)
        self.wsgi.extensions[WORKERS] = lambda: list(map(asdict, row.board.workers()))
        self._settings = context.settings
        self._body_limit = int(self.wsgi.config[BODY_LIMIT])
        self._crowd = Crowd(self.connections, self.cfg, self._settings)
        self._duty = Duty(self, row, context)
        self.poller.register(
            self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks
        )
        while not self._duty.done():
            self.notify()
            self._duty.publish()
            self.set_accept_enabled(self._accepts())
            self.wait_for_and_dispatch_events(timeout=1.0)
            self._expire()
        self._close()

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
        client = ClientSocket(prepared(self.cfg, raw), lambda: self.method_queue.defer(watch))
        conn = Connection(self.cfg, client, address, listener.getsockname())
        watch = partial(self._watch, conn)
        self.connections.add(conn)
        self.nr_conns += 1
        self._expect(conn, self._settings.head_timeout)
        if self._crowd.is_too_many(conn):
            message = f"There are too many connections from {address[0]}."
            self._refuse(conn, answers.refusal(429, message, "too_many_connections"))
            return
        self._on_event(conn, client)

    def enqueue_req(self, conn: Connection) -> None:
        """Hand a whole request to a thread; probes have one of their own."""
        pool = self._probes if conn.request.head.startswith(PROBES) else self.tpool
        done = pool.submit(self.handle, conn)
        done.add_done_callback(lambda _: self.method_queue.defer(self.finish_request, conn, done))

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """Handle a request, in a thread of the pool."""
        req._expected_100_continue = False  # the event loop has answered that
        try:
            return bool(super().handle_request(req, conn))
        except BaseException:
            # The end of a connection is the end of a response in HTTP/1.0: a reset is not.
            conn.reset = req.version < (1, 1) and conn.sock.begun
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
        """Send what is left of the response, and go on with the connection; in the event loop."""
        conn.request.close()
        conn.served = True
        conn.keep = not done.cancelled() and done.exception() is None and bool(done.result())
        conn.state = State.FLUSHING
        self._on_event(conn, conn.sock)

    def close_idle(self) -> None:
        """Close the connections that wait for a request: clients find another worker."""
        for conn in tuple(self.connections):
            if conn.served and conn.idle:
                self._drop(conn)

    def stop_engine(self) -> None:
        """Stop the engine, after the last request."""
        if isinstance(self.wsgi, Flask):
            context_of(self.wsgi).engine.stop()

    def _accepts(self) -> bool:
        """Return whether to accept connections now."""
        if time.monotonic() < self._no_accept_until or not self._duty.accepts():
            return False
        return self.nr_conns < self.worker_connections or self._make_room()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest.  Return False if all are in use."""
        if (conn := self._crowd.longest_waiting()) is not None:
            self._drop(conn)
        return conn is not None

    def _cannot_accept(self, error: OSError) -> None:
        if error.errno == errno.ECONNABORTED:
            return
        self._no_accept_until = time.monotonic() + PAUSE
        made_room = self._make_room()
        logger.error("cannot accept a connection: %s (closed a waiting one: %s)", error, made_room)

    def _expect(self, conn: Connection, seconds: float) -> None:
        """Wait for the next request; its first byte must come within ``seconds``."""
        conn.expect(Receiver(self._crowd.head_limit, self._body_limit))
        conn.since = time.monotonic()
        conn.deadline = conn.since + seconds

    def _on_event(self, conn: Connection, _: object) -> None:
        """Go on with a connection: it can be read, or takes bytes."""
        if conn not in self.connections:
            return
        if conn.sock.unsent:
            conn.sock.flush()
        match conn.state:
            case State.RECEIVING:
                self._receive(conn)
            case State.LINGERING:
                self._linger(conn)
            case State.FLUSHING if not conn.sock.unsent:
                self._after_response(conn)
        self._watch(conn)

    def _receive(self, conn: Connection) -> None:
        try:
            here = conn.receive()
        except OSError as error:
            self._cannot_receive(conn, error)
            return
        if not here:
            self._drop(conn)
            return
        self._look_at(conn)

    def _look_at(self, conn: Connection) -> None:
        """Look at what has come of a request."""
        now, request = time.monotonic(), conn.request
        if request.whole:
            conn.state, conn.deadline = State.RUNNING, None
            self.enqueue_req(conn)
        elif request.head.startswith(TLS_HELLO) and not self.cfg.is_ssl:
            message = "This port speaks http, not https: use http:// in the URL."
            self._refuse(conn, answers.refusal(400, message))
        elif request.has_head:
            conn.deadline = now + self._settings.body_timeout
            if request.expects_continue:
                request.expects_continue = False
                self._send(conn, b"HTTP/1.1 100 Continue\r\n\r\n")
        elif request.started and not conn.timed:
            conn.timed = True
            conn.deadline = now + self._settings.head_timeout

    def _after_response(self, conn: Connection) -> None:
        """Wait for the next request, or close."""
        if conn.sock.broken or conn.reset:
            self._drop(conn)
        elif not conn.keep:
            self._begin_to_linger(conn)
        else:
            extra = conn.request.extra
            self._expect(conn, self._duty.keep_alive())
            if extra:
                conn.request.feed(extra)
                self._look_at(conn)

    def _refuse(self, conn: Connection, answer: bytes) -> None:
        """Answer in the place of the app, and close when that is sent."""
        conn.keep = False
        conn.state = State.FLUSHING
        self._send(conn, answer)
        self._on_event(conn, conn.sock)

    def _send(self, conn: Connection, data: bytes) -> None:
        try:
            conn.sock.sendall(data)
        except OSError:
            logger.debug("the client left before its answer")

    def _begin_to_linger(self, conn: Connection) -> None:
        """Read on until the client closes: closing first would destroy what it has not read."""
        conn.state, conn.deadline = State.LINGERING, time.monotonic() + LINGER_SECONDS
        try:
            conn.sock.half_close()
        except OSError:
            self._drop(conn)
            return
        self._linger(conn)

    def _linger(self, conn: Connection) -> None:
        try:
            goes_on = conn.discard(LINGER_BYTES)
        except OSError:
            goes_on = False
        if not goes_on:
            self._drop(conn)

    def _cannot_receive(self, conn: Connection, error: OSError) -> None:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}:
            logger.error("a request cannot be kept: %s", error)
            message = "The server has no room for the request at present."
            self._refuse(conn, answers.refusal(503, message, "overloaded"))
        else:
            logger.debug("connection broken: %s", error)
            self._drop(conn)

    def _watch(self, conn: Connection) -> None:
        """Tell the poller what the connection waits for."""
        if conn not in self.connections:
            return
        reads = conn.state in {State.RECEIVING, State.LINGERING}
        events = reads * selectors.EVENT_READ | bool(conn.sock.unsent) * selectors.EVENT_WRITE
        if events == conn.events:
            return
        if conn.events:
            self.poller.unregister(conn.sock.raw)
        if events:
            self.poller.register(conn.sock.raw, events, partial(self._on_event, conn))
        conn.events = events

    def _drop(self, conn: Connection) -> None:
        """Close a connection that no thread works for."""
        self.connections.discard(conn)
        self.nr_conns -= 1
        if conn.events:
            self.poller.unregister(conn.sock.raw)
        conn.end()

    def _expire(self) -> None:
        """End connections whose time is over."""
        now = time.monotonic()
        for conn in tuple(self.connections):
            if conn.sock.stalls_since(now) > self._settings.send_timeout:
                logger.info("dropped a client that took nothing, %d bytes left", conn.sock.unsent)
                conn.sock.abort()
                if conn.state is State.RUNNING:
                    continue  # the thread finds out, and `finish_request` closes it
                self._drop(conn)
            elif conn.deadline is not None and now > conn.deadline:
                self._expired(conn)

    def _expired(self, conn: Connection) -> None:
        if conn.state is not State.RECEIVING or conn.idle:
            self._drop(conn)
            return
        message = "The request did not arrive in time."
        self._refuse(conn, answers.refusal(408, message, "request_timeout"))

    def _close(self) -> None:
        """Close everything."""
        self.set_accept_enabled(False)
        for conn in tuple(self.connections):
            conn.sock.abort()
            if conn.state is not State.RUNNING:
                self._drop(conn)
        self.tpool.shutdown(wait=False)
        self._probes.shutdown(wait=False)
        self.poller.close()
        self.method_queue.close()
        for listener in self.sockets:
            listener.close()
