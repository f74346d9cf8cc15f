"""HTTP over a Unix socket, and the datagrams that a server sends to systemd."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """A connection to the server at a path."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextmanager
def notify_socket(name: str) -> Iterator[socket.socket]:
    """Yield the socket of a service manager; ``@name`` is an abstract one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        manager.settimeout(60)
        yield manager
