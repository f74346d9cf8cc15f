"""Watches the sockets of running requests, so that a disconnect stops the work at once.

A server notices a disconnect when it writes; while nothing is written (the request is queued, or
the engine is slow) only the socket tells.  One thread per worker watches all of them.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class DisconnectWatch:
    """Calls back when the other end of a socket is closed.

    Sockets are added and removed while the thread waits in ``select``: epoll and kqueue, which
    ``DefaultSelector`` takes on Linux and the BSDs, allow this.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        # Reentrant: the garbage collector may close an abandoned `watch` inside another one.
        self._lock = threading.RLock()
        self._watched: set[socket.socket] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, client: object, on_disconnect: Callable[[], None]) -> Iterator[None]:
        """Call ``on_disconnect``, from the watching thread, if the client disconnects in the block.

        ``client``: what gunicorn passes as ``gunicorn.socket``: a socket, or one around it in
        ``raw``.  Anything else is not watched, nor is a TLS socket: it cannot be inspected without
        reading.
        """
        client = getattr(client, "raw", client)
        if not isinstance(client, socket.socket) or isinstance(client, ssl.SSLSocket):
            yield
            return
        with self._lock:
            self._watched.add(client)
            self._selector.register(client, selectors.EVENT_READ, on_disconnect)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="disconnect-watch", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            self._remove(client)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                client = key.fileobj
                assert isinstance(client, socket.socket)
                # Readable means the next request's bytes or the end; either way look only once.
                if self._remove(client) and _has_ended(client):
                    key.data()

    def _remove(self, client: socket.socket) -> bool:
        """Stop watching; return False if that was done before, so that the socket may be closed."""
        with self._lock:
            if client not in self._watched:
                return False
            self._watched.remove(client)
            self._selector.unregister(client)
            return True


def _has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:  # reset by the client, or already closed here
        return True
