"""The addresses that a server listens on: a host and a port, or the path of a Unix socket."""

from __future__ import annotations

import errno
import ipaddress
import os
import shlex
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

UNIX = "unix:"
HOST = (
    rf"{UNIX}(//)?/[^/].*"  # a Unix socket, by its absolute path
    r"|[^\s:/\[\]]+"  # a name or an IPv4 address
    r"|\[?[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?"  # an IPv6 address
)
"""A regular expression for the setting ``host``."""

PORT = r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
BIND = rf"{UNIX}(//)?/[^/].*|(?:{HOST}):(?:{PORT})"
"""A regular expression for a host and a port, or a Unix socket."""

MAX_PATH = 107
"""Bytes of the path of a Unix socket."""

CONNECT_SECONDS = 5
"""How long a server that is busy may take to accept."""

Address = tuple[str, int] | str | int
"""As gunicorn has it: a host and a port, the path of a Unix socket, or an open descriptor."""


def bind_of(host: str, port: int) -> str:
    """Return gunicorn's setting ``bind`` for the settings ``host`` and ``port``."""
    if host.startswith(UNIX):
        return host
    return f"{_url_host(host.strip('[]'))}:{port}"


def address_of(host: str, port: int) -> tuple[str, int] | str:
    """Return the address for the settings ``host`` and ``port``."""
    if host.startswith(UNIX):
        return f"/{host.removeprefix(UNIX).lstrip('/')}"
    return host.strip("[]"), port


def split_bind(bind: str) -> tuple[str, int]:
    """Return the host and the port of what ``BIND`` matches; the port of a Unix socket is 0."""
    if bind.startswith(UNIX):
        return bind, 0
    host, _, port = bind.rpartition(":")
    return host, int(port)


def is_loopback(address: Address) -> bool:
    """Return whether an address can be reached from this machine only."""
    if isinstance(address, str):
        return True
    if isinstance(address, int):
        with socket.socket(fileno=os.dup(address)) as listener:
            name = listener.getsockname()
            return is_loopback(name if isinstance(name, str) else name[:2])
    host, _ = address
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(address: Address) -> str:
    """Return an address as messages name it."""
    if isinstance(address, str):
        return UNIX + address
    return f"descriptor {address}" if isinstance(address, int) else address[0]


def problem_of(address: Address, *, must_be_free: bool = False) -> str | None:
    """Return why a server cannot listen at an address, or None.

    One where a server listens already is a problem only if it ``must_be_free``.
    """
    if isinstance(address, int):
        return None
    try:
        if isinstance(address, str):
            _probe_path(Path(address))
        else:
            _probe_port(address)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        if in_use and not must_be_free:
            return None
        name = shown(address) if isinstance(address, str) else f"{address[0]}:{address[1]}"
        why = "another server listens there" if in_use else error.strerror or str(error)
        return f"the server cannot listen on {name}: {why}."
    return None


def _probe_port(address: tuple[str, int]) -> None:
    """Raise OSError if the address cannot be bound."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _probe_path(path: Path) -> None:
    """Raise OSError if no socket can be made at the path, or a server listens there."""
    if len(os.fsencode(path)) > MAX_PATH:
        raise OSError(0, f"the path has more than {MAX_PATH} bytes")
    if not path.parent.is_dir():
        raise OSError(0, f"there is no folder {path.parent}")
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(0, "it is no socket, and is not replaced")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(CONNECT_SECONDS)
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                pass  # left by a server that was killed
            else:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    with TemporaryDirectory(prefix=".voxcpm-", dir=path.parent):
        pass


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens: its name, as ``getsockname`` returns it, and whether it speaks TLS."""

    name: str | tuple[str, int]
    tls: bool = False

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.tls else "http"

    @property
    def shown(self) -> str:
        """The URL, or the path of the socket."""
        if isinstance(self.name, str):
            return UNIX + self.name
        host, port = self.name[:2]
        return f"{self.scheme}://{_url_host(host)}:{port}"

    @property
    def curl(self) -> str:
        """The begin of a command that requests ``/`` here."""
        if isinstance(self.name, str):
            return f"curl --unix-socket {shlex.quote(self.name)} {self.scheme}://localhost"
        return f"curl {self.shown}"


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
