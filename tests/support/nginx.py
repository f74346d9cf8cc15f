"""A real nginx on loopback, with the configuration that is shipped or one that a test makes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support import ROOT
from tests.support.live_server import Server, free_port
from tests.support.tools import SECONDS, required, wait_until_listening

SHIPPED = ROOT / "deploy" / "nginx.conf"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""The folders that nginx makes; Debian's are not for everybody."""


def shipped(folder: Path, port: int, instances: Sequence[str], *, tls: str = "") -> str:
    """Return ``deploy/nginx.conf`` with other ports, paths and user, and nothing else changed.

    ``instances``: addresses.  ``tls``: a folder with ``speech.pem`` and ``speech.key``; then the
    lines for TLS take the place of the other ``listen``.
    """
    text = SHIPPED.read_text(encoding="utf-8")
    server = r"(?m)^( *)server 127\.0\.0\.1:7861( .*;)\n *server 127\.0\.0\.1:7862\2$"
    changes = {
        r"(?m)^user www-data;.*$": "",
        r"/run/nginx\.pid": f"{folder}/nginx.pid",
        r"/var/log/nginx/error\.log": f"{folder}/error.log",
        r"/var/log/nginx/speech\.log": f"{folder}/speech.log",
        server: "\n".join(rf"\1server {address}\2" for address in instances),
        r"(?m)^http \{$": "http {\n" + temporary_paths(folder),
        r"listen 80;": "" if tls else f"listen 127.0.0.1:{port};",
    }
    if tls:
        changes[r"# (listen) 443( ssl;)"] = rf"\1 127.0.0.1:{port}\2"
        changes[r"# (ssl_certificate )\S+;"] = rf"\1{tls}/speech.pem;"
        changes[r"# (ssl_certificate_key )\S+;"] = rf"\1{tls}/speech.key;"
        changes[r"# (ssl_protocols )"] = r"\1"
    for pattern, replacement in changes.items():
        text, count = re.subn(pattern, replacement, text)
        assert count == 1, pattern
    return text


def temporary_paths(folder: Path) -> str:
    return "\n".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)


class Nginx:
    """An nginx in a process of its own."""

    def __init__(self, folder: Path, configure: Callable[[int], str]) -> None:
        """``configure``: returns the configuration for a port."""
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.file = folder / "nginx.conf"
        self.file.write_text(configure(self.port), encoding="utf-8")
        user = "user root;" if os.geteuid() == 0 else ""  # folders of tests are the user's alone
        files = ["-p", str(folder), "-c", str(self.file), "-e", f"{folder}/error.log"]
        self.command = [required("nginx"), *files, "-g", f"daemon off; {user}"]
        self._process: subprocess.Popen[bytes] | None = None

    def check(self) -> str:
        """Return what ``nginx -t`` says.  Raises CalledProcessError if it finds a fault."""
        return subprocess.run(
            [*self.command, "-t"], check=True, stderr=subprocess.PIPE, text=True
        ).stderr

    def __enter__(self) -> Nginx:
        self.check()
        self._process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        try:
            wait_until_listening(self._process, self.port)
        except AssertionError as error:
            self.__exit__()
            raise AssertionError(self.errors()) from error
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(SECONDS)

    def errors(self) -> str:
        """Return the error log."""
        return (self.folder / "error.log").read_text(encoding="utf-8")

    def reload(self) -> None:
        """Start new workers; the old ones finish what they do."""
        assert self._process is not None
        subprocess.run([*self.command, "-s", "reload"], check=True, capture_output=True)


def before(folder: Path, servers: Sequence[Server]) -> Nginx:
    """Return an nginx with the shipped configuration before some servers."""
    addresses = [f"127.0.0.1:{server.port}" for server in servers]
    return Nginx(folder, lambda port: shipped(folder, port, addresses))
