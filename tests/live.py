"""A live gunicorn for tests, in a process of its own, on a free port of the loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
TONE_PLUGINS = Path(__file__).parent / "plugins"

START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``gunicorn -c gunicorn.conf.py wsgi:app`` with the settings given as variables."""

    def __init__(self, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("VOXCPM_")}
        variables = {f"VOXCPM_{name.upper()}": value for name, value in settings.items()}
        self.lines: list[str] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"],
            cwd=ROOT,
            env={**clean, **variables, "VOXCPM_PORT": str(self.port)},
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
        with self._news:  # it is over: whoever waits for a line waits in vain
            self._news.notify_all()

    def wait_for(self, seen: Callable[[str], bool], timeout: float = START_SECONDS) -> str:
        """Wait for a line of the log; return it."""

        def find() -> str | None:
            return next((line for line in self.lines if seen(line)), None)

        with self._news:
            self._news.wait_for(lambda: find() or self.process.poll() is not None, timeout)
            line = find()
        assert line is not None, "\n".join(self.lines)
        return line

    def wait_ready(self) -> Server:
        self.wait_for(lambda line: " ready at http" in line)
        return self

    def ready(self) -> dict[str, dict[str, int]]:
        """Return ``/ready``'s body."""
        with urllib.request.urlopen(f"{self.url}/ready", timeout=10) as reply:
            body: dict[str, dict[str, int]] = json.load(reply)
        return body

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Stop as an operator would, with SIGTERM; return the exit status.  Twice is no harm."""
        if self.process.returncode is None:
            self.process.terminate()
        status = self.process.wait(timeout=30)
        self._reader.join(timeout=10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status
