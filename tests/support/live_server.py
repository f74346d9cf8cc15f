"""A gunicorn server for tests, in a process of its own, on a free loopback port."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support import ROOT

START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


GUNICORN = ("-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app")
SERVE = ("-m", "voxcpm_openai", "serve")


class Server:
    """``gunicorn -c gunicorn.conf.py wsgi:app`` with the settings given as variables.

    ``command``: other arguments of Python; ``environ``: further variables; ``python``: the
    interpreter, of the environment with the server's packages.
    """

    def __init__(
        self,
        *,
        command: Sequence[str] = GUNICORN,
        environ: Mapping[str, str] | None = None,
        python: str = sys.executable,
        **settings: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("VOXCPM_")}
        variables = {f"VOXCPM_{name.upper()}": value for name, value in settings.items()}
        self.lines: list[str] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [python, *command],
            cwd=ROOT,
            env={**clean, "VOXCPM_PORT": str(self.port), **variables, **(environ or {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        self.process.wait()
        with self._news:  # the process has ended; wake those that wait for a line
            self._news.notify_all()

    def wait_for(self, seen: Callable[[str], bool], timeout: float = START_SECONDS) -> str:
        """Wait for a line of the log and return it."""

        def find() -> str | None:
            return next((line for line in self.lines if seen(line)), None)

        with self._news:
            self._news.wait_for(lambda: find() or self.process.poll() is not None, timeout)
            line = find()
        assert line is not None, "\n".join(self.lines)
        return line

    def wait_ready(self) -> Server:
        self.wait_for(lambda line: " ready at " in line)
        return self

    def ready(self) -> dict[str, Any]:
        """Return ``/ready``'s body."""
        with urllib.request.urlopen(f"{self.url}/ready", timeout=10) as reply:
            body: dict[str, Any] = json.load(reply)
        return body

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Stop with SIGTERM and return the exit status.  Can be called twice."""
        if self.process.returncode is None:
            self.process.terminate()
        status = self.process.wait(timeout=30)
        self._reader.join(timeout=10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status
