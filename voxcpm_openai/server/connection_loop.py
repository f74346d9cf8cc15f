"""All connections of a worker: receives requests, sends responses, ends what is late."""

from __future__ import annotations

import errno
import logging
import selectors
import time
from collections.abc import Callable
from functools import partial

from voxcpm_openai.server import answers
from voxcpm_openai.server.connection import Connection, State
from voxcpm_openai.server.receiver import Receiver
from voxcpm_openai.server.spool_space import SpoolSpace
from voxcpm_openai.server.upgraded import Upgraded
from voxcpm_openai.settings import Settings

logger = logging.getLogger(__name__)

LINGER_SECONDS = 10.0
LINGER_BYTES = 64 * 1024 * 1024
"""How long, and how much, a client that is refused may go on sending before it is cut off."""
LOOK = 0.25
"""Seconds from one look at the deadlines of all connections to the next."""
TLS_HELLO = b"\x16"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}


class ConnectionLoop:
    """Moves connections from state to state, in the thread of the event loop."""

    def __init__(
        self,
        poller: selectors.BaseSelector,
        settings: Settings,
        limits: tuple[int, int],
        handle: Callable[[Connection], None],
        keep_alive: Callable[[], float],
    ) -> None:
        """``limits``: bytes of a head and of a body.

        ``handle``: hands a whole request to a thread, which must be followed by ``finish``.
        ``keep_alive``: returns the seconds until the first byte of a next request.
        """
        self.connections: set[Connection] = set()
        self.loaded: set[Connection] = set()
        """Those that have, or may soon have, a running request."""
        self.waiting: set[Connection] = set()
        """Those that may bring another one: kept alive, or WebSockets."""
        self.on_refusal: Callable[[str], None] = lambda _code: None
        """Gets the code of each answer that is given in the place of the app."""
        self.space = SpoolSpace()
        self._poller = poller
        self._settings = settings
        self._limits = limits
        self._handle = handle
        self._keep_alive = keep_alive
        self._next_look = 0.0

    def add(self, conn: Connection) -> None:
        """Wait for the first request of a new connection."""
        self.connections.add(conn)
        self._expect(conn, self._settings.head_timeout)

    def finish(self, conn: Connection, *, keep: bool) -> None:
        """Send what is left of a response; ``keep``: then wait for the next request."""
        conn.request.close()
        conn.served = True
        conn.keep = keep
        conn.state = State.FLUSHING
        self.on_event(conn)

    def release(self, conn: Connection) -> None:
        """Count a connection as one that waits for its next request; any thread may call this."""
        conn.released = True
        self.waiting.add(conn)
        self.loaded.discard(conn)

    def upgrade(self, conn: Connection, stream: Upgraded) -> None:
        """Hand over what a client sends from now on; must be followed by ``finish``."""
        if conn not in self.connections:  # the worker has closed everything
            stream.end()
            return
        stream.feed(conn.request.extra)
        conn.request.close()
        conn.upgraded = stream
        conn.state = State.UPGRADED
        self.on_event(conn)

    def on_event(self, conn: Connection, _: object = None) -> None:
        """Go on with a connection: it can be read, or takes bytes."""
        if conn not in self.connections:
            return
        try:
            self._advance(conn)
            self.watch(conn)
        except Exception:  # a fault in one connection must not end the others
            logger.exception("a connection failed")
            self.drop(conn)

    def refuse(self, conn: Connection, status: int, message: str, code: str | None = None) -> None:
        """Answer in the place of the app, and close when that is sent."""
        conn.keep, conn.deadline = False, None
        conn.state = State.FLUSHING
        self.on_refusal(code or f"http_{status}")
        self._send(conn, answers.refusal(status, message, code))
        self.on_event(conn)

    def watch(self, conn: Connection) -> None:
        """Tell the poller what a connection waits for."""
        if conn not in self.connections:
            return
        (self.loaded.add if conn.counts else self.loaded.discard)(conn)
        (self.waiting.add if conn.waits else self.waiting.discard)(conn)
        events = conn.reads * selectors.EVENT_READ | bool(conn.sock.unsent) * selectors.EVENT_WRITE
        if events == conn.events:
            return
        if conn.events:
            self._poller.unregister(conn.sock.raw)
        if events:
            self._poller.register(conn.sock.raw, events, partial(self.on_event, conn))
        conn.events = events

    def drop(self, conn: Connection) -> None:
        """Close a connection that no thread works for."""
        if conn not in self.connections:
            return
        self.connections.remove(conn)
        self.loaded.discard(conn)
        self.waiting.discard(conn)
        if conn.events:
            self._poller.unregister(conn.sock.raw)
        conn.end()

    def drop_idle(self) -> None:
        """Close the connections that are kept alive."""
        for conn in tuple(self.connections):
            if conn.served and conn.idle:
                self.drop(conn)

    def drop_all(self) -> None:
        """Close everything; threads find out when they write."""
        for conn in tuple(self.connections):
            self._abort(conn)

    def expire(self) -> None:
        """End connections whose time is over."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK
        for conn in tuple(self.connections):
            if conn.sock.stalls_since(now) > self._settings.send_timeout:
                logger.info("dropped a client that took nothing, %d bytes left", conn.sock.unsent)
                self._abort(conn)
            elif conn.deadline is not None and now > conn.deadline:
                self._expired(conn)

    def _abort(self, conn: Connection) -> None:
        conn.abort()
        if not conn.threaded:  # else the thread finds out, and `finish` drops
            self.drop(conn)

    def _expired(self, conn: Connection) -> None:
        if conn.state is State.RECEIVING and not conn.idle:
            self.refuse(conn, 408, "The request did not arrive in time.", "request_timeout")
        else:
            self.drop(conn)

    def _expect(self, conn: Connection, seconds: float) -> None:
        request = Receiver(*self._limits, self.space)
        conn.expect(request, time.monotonic(), seconds)

    def _advance(self, conn: Connection) -> None:
        if conn.sock.unsent:
            conn.sock.flush()
        match conn.state:
            case State.RECEIVING:
                self._receive(conn)
            case State.UPGRADED:
                self._pass_on(conn)
            case State.LINGERING:
                self._linger(conn)
            case State.FLUSHING if not conn.sock.unsent:
                self._after_response(conn)

    def _receive(self, conn: Connection) -> None:
        try:
            here = conn.receive()
        except OSError as error:
            if error.errno in NO_ROOM:
                logger.error("a request cannot be kept: %s", error)  # noqa: TRY400
                message = "The server has no room for the request at present."
                self.refuse(conn, 503, message, "overloaded")
            else:
                logger.debug("connection broken: %s", error)
                self.drop(conn)
            return
        if not here:
            self.drop(conn)
        else:
            self._look_at(conn)

    def _pass_on(self, conn: Connection) -> None:
        assert conn.upgraded is not None
        try:
            here = conn.pass_on(conn.upgraded)
        except OSError as error:
            logger.debug("connection broken: %s", error)
            here = False
        if not here or conn.sock.broken:
            conn.upgraded.end()

    def _look_at(self, conn: Connection) -> None:
        """Look at what has come of a request."""
        now, request = time.monotonic(), conn.request
        if request.whole:
            conn.state, conn.deadline = State.RUNNING, None
            self._handle(conn)
        elif request.head.startswith(TLS_HELLO):
            self.refuse(conn, 400, "This port speaks http, not https: use http:// in the URL.")
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
        if conn.sock.broken or conn.cut:
            self.drop(conn)
        elif not conn.keep:
            self._begin_to_linger(conn)
        else:
            extra = conn.request.extra
            self._expect(conn, self._keep_alive())
            conn.request.feed(extra)
            self._receive(conn)

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
            self.drop(conn)
            return
        self._linger(conn)

    def _linger(self, conn: Connection) -> None:
        try:
            goes_on = conn.discard(LINGER_BYTES)
        except OSError:
            goes_on = False
        if not goes_on:
            self.drop(conn)
