"""Watches the sockets of clients who wait, so that one who leaves stops the work at once.

A server notices that a client is gone when it writes; while nothing is written (the request is
queued, or the engine is slow) only the socket tells.  One thread a worker looks at all of them.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watch:
    """Calls back when the other end of a socket closes.

    Sockets are added and removed while the thread waits in ``select``: epoll and kqueue, which
    ``DefaultSelector`` takes on Linux and the BSDs, allow that.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        # Reentrant: the garbage collector may close a forgotten `over` in the midst of another's.
        self._lock = threading.RLock()
        self._watched: set[socket.socket] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, client: object, left: Callable[[], None]) -> Iterator[None]:
        """Call ``left``, from the watching thread, if the client hangs up inside the block.

        ``client`` is the server's socket (gunicorn gives it as ``gunicorn.socket``).  Anything
        else is not watched, nor is a TLS socket: it cannot be looked into without reading.
        """
        if not isinstance(client, socket.socket) or isinstance(client, ssl.SSLSocket):
            yield
            return
        with self._lock:
            self._watched.add(client)
            self._selector.register(client, selectors.EVENT_READ, left)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            self._forget(client)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                client = key.fileobj
                assert isinstance(client, socket.socket)
                # Readable means bytes of a next request, or the end; either way look only once.
                if self._forget(client) and _has_ended(client):
                    key.data()

    def _forget(self, client: socket.socket) -> bool:
        """Stop watching; False if that was done already, and the socket may be closed by now."""
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
