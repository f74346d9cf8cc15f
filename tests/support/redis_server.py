"""A real Redis on loopback, which keeps nothing on disk."""

from __future__ import annotations

import subprocess

from tests.support.live_server import free_port
from tests.support.tools import SECONDS, required, wait_until_listening


class Redis:
    """A Redis in a process of its own, which may be stopped and started again."""

    def __init__(self) -> None:
        self._program = required("redis-server")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]
        self._process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL)
        wait_until_listening(self._process, self.port)

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
