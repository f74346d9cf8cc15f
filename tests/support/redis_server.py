"""A real Redis on loopback, which keeps nothing on disk."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import pytest

from tests.support.live_server import free_port

SECONDS = 20
"""The longest wait for a start or an end."""


def required() -> str:
    """Return the path of Redis; where there is none, fail in CI and skip elsewhere."""
    found = shutil.which("redis-server")
    if found is None:
        message = "Redis is not installed (apt-get install redis-server)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return found


class Redis:
    """A Redis in a process of its own, which may be stopped and started again."""

    def __init__(self) -> None:
        self._program = required()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]
        self._process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL)
        end = time.monotonic() + SECONDS
        while not self._listens():
            assert self._process.poll() is None, "Redis has ended"
            assert time.monotonic() < end, "Redis does not listen"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            self._process = None

    def __enter__(self) -> Redis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
