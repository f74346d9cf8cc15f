"""A connection through its states, for the event loop of the worker."""

from __future__ import annotations

import socket
import ssl
from enum import Enum, auto
from typing import Any

from gunicorn import http, sock

from voxcpm_openai.server.client_socket import WOULD_BLOCK, ClientSocket
from voxcpm_openai.server.receiver import Receiver
from voxcpm_openai.server.upgraded import Upgraded

TURNS = 16
"""Reads from one connection in a row, so that a fast upload does not hold up the others."""


class State(Enum):
    """What a connection waits for."""

    RECEIVING = auto()
    """A request, or the rest of one."""
    RUNNING = auto()
    """The thread that handles its request."""
    UPGRADED = auto()
    """Bytes, and the thread that handles them, in the place of requests."""
    FLUSHING = auto()
    """The client, which has not taken the whole response."""
    LINGERING = auto()
    """The client, which still sends what nobody reads, to take the response and close."""


class Connection:
    """What gunicorn's thread worker expects of a connection, with a state and a deadline.

    ``handle`` of the worker uses ``sock``, ``client``, ``server``, ``parser``, ``init`` and the
    flags, in a thread of the pool; the rest belongs to the event loop.
    """

    is_http2 = False
    data_ready = True

    def __init__(self, cfg: Any, client: ClientSocket, address: Any, server: Any) -> None:
        """``cfg``: gunicorn's; ``address``: of the client; ``server``: the listener's address."""
        self.cfg = cfg
        self.sock = client
        self.client = address
        self.server = server
        self.parser: Any = None
        self.initialized = True
        self.state = State.RECEIVING
        self.deadline: float | None = None
        self.since = 0.0
        """When it began to wait for a request."""
        self.request: Receiver
        self.upgraded: Upgraded | None = None
        """Its bytes, once it has left HTTP."""
        self.released = False
        """Whether its request needs no place any more: the speech is made."""
        self.served = False
        """Whether a request of it was handled."""
        self.keep = False
        """Whether it stays open after the response."""
        self.timed = False
        """Whether the time of a head runs."""
        self.cut = False
        """Whether the response ended in its middle, and only a reset shows that."""
        self.events = 0
        """What the event loop waits for at present."""
        self.discarded = 0
        """Bytes that were read and thrown away."""
        self._secured = not cfg.is_ssl
        self._unmarked = False  # whether only the end of the connection ends the response

    def expect(self, request: Receiver, now: float, seconds: float) -> None:
        """Wait for the next request; its first byte must come within ``seconds``."""
        self.state = State.RECEIVING
        self.timed = self.released = False
        self.since = now
        self.deadline = now + seconds
        self.request = request
        self.sock.expect(request)

    def init(self) -> None:
        """Make the parser: gunicorn calls it in the thread."""
        if self.parser is None:
            self.parser = http.get_parser(self.cfg, self.sock, self.client)

    def begin_response(self, version: tuple[int, int]) -> None:
        """Take the version of the request.

        In HTTP/1.0, the end of the connection is the end of the response: a reset is not.
        """
        self._unmarked = version < (1, 1)
        self.sock.reset_on_close(self._unmarked)

    def break_off(self) -> None:
        """Give up the response."""
        self.cut = self._unmarked and self.sock.begun

    def receive(self) -> bool:
        """Take what the client has sent.  Return False if it has left.

        Raises OSError for a broken connection, also ``ssl.SSLError``, and for a full disk.
        """
        if not self._handshake():
            return True
        for _ in range(TURNS):
            if self.request.whole:
                break
            data = self.sock.receive()
            if data is None:
                break
            if not data:
                return False
            self.request.feed(data)
        else:
            # What TLS has decrypted does not wake the event loop.
            return self.receive() if self.sock.pending() else True
        return True

    def pass_on(self, stream: Upgraded) -> bool:
        """Hand over some of what the client has sent, as far as there is room.

        Return False if it has left.  Raises OSError for a broken connection.
        """
        for _ in range(TURNS):
            if not stream.reads:
                break
            data = self.sock.receive()
            if data is None:
                break
            if not data:
                return False
            stream.feed(data)
        return True

    def discard(self, budget: int) -> bool:
        """Throw away what the client sends.  Return False at its end, and beyond the budget."""
        for _ in range(TURNS):
            data = self.sock.receive()
            if data is None:
                return True
            self.discarded += len(data)
            if not data or self.discarded > budget:
                return False
        return True

    @property
    def idle(self) -> bool:
        """Whether no byte of a request has come."""
        return self.state is State.RECEIVING and not self.request.started

    @property
    def busy(self) -> bool:
        """Whether a request is coming, a thread works for it, or its response is not sent.

        Also while the client of an upgraded connection answers its end: it may have sent something
        just now, and what it has not read would be lost if the connection were closed.
        """
        if self.state is State.LINGERING:
            return self.upgraded is not None
        return self.state is not State.RECEIVING or self.request.started

    @property
    def reads(self) -> bool:
        """Whether it wants to know what the client sends."""
        if self.state is State.UPGRADED:
            return self.upgraded is not None and self.upgraded.reads
        return self.state in {State.RECEIVING, State.LINGERING}

    @property
    def threaded(self) -> bool:
        """Whether a thread works for it, which ends before the connection is closed."""
        return self.state in {State.RUNNING, State.UPGRADED}

    @property
    def counts(self) -> bool:
        """Whether it has, or may soon have, a running request."""
        return (self.state is State.RUNNING and not self.released) or (
            self.state is State.RECEIVING and (self.request.started or not self.served)
        )

    @property
    def waits(self) -> bool:
        """Whether it may bring another request: it is or will be kept alive, or is a WebSocket."""
        ends = self.released and self.state in {State.RUNNING, State.FLUSHING}
        return ends or self.state is State.UPGRADED or (self.served and self.idle)

    def abort(self) -> None:
        """Drop the client; the thread that works for it finds out."""
        self.sock.abort()
        if self.upgraded is not None:
            self.upgraded.end()

    def end(self) -> None:
        """Close it."""
        if self.upgraded is not None:
            self.upgraded.end()
        self.request.close()
        self.sock.end()

    def _handshake(self) -> bool:
        """Return whether TLS, where it is on, is established."""
        if not self._secured:
            raw = self.sock.raw
            assert isinstance(raw, ssl.SSLSocket)
            try:
                raw.do_handshake()
            except WOULD_BLOCK:
                return False
            self._secured = True
        return True


def prepared(cfg: Any, raw: socket.socket) -> socket.socket:
    """Return an accepted socket that does not block, with TLS where it is on.

    Keep-alive probes find a client that has lost its network, within two minutes.
    """
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if raw.family != socket.AF_UNIX:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if cfg.is_ssl:
        secured: socket.socket = sock.ssl_wrap_socket(raw, cfg)
        return secured
    return raw
