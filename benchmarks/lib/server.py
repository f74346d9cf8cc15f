"""A server of our own to measure: this checkout's gunicorn on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 600.0  # how long the engine may take to load


@contextmanager
def own_server(
    variables: Mapping[str, str] | None = None,
    start_seconds: float = START_SECONDS,
    checkout: Path = ROOT,
) -> Iterator[str]:
    """Serve on the loopback, and yield the URL when the server is ready.

    ``variables``: settings beside those of the environment, such as ``VOXCPM_ENGINE``.
    ``checkout``: where the code of the server is.
    Raises RuntimeError where it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"],
        cwd=checkout,
        env={
            **os.environ,
            **(variables or {}),
            "VOXCPM_HOST": "127.0.0.1",
            "VOXCPM_PORT": str(port),
            "VOXCPM_LOG_LEVEL": "warning",
        },
    )
    try:
        _wait_ready(process, url, start_seconds)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_ready(process: subprocess.Popen[bytes], url: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the server did not start; its own messages are above.")
        with suppress(urllib.error.URLError):  # not listening yet, or 503: loading
            urllib.request.urlopen(f"{url}/ready", timeout=5).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"the engine was not ready after {seconds:.0f} s.")
