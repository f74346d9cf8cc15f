"""Programs that tests need and pip does not install."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support import ROOT

SECONDS = 20
"""The longest wait for a start or an end."""
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin")
"""Not in the PATH of every user; nginx is there."""
PACKAGES = {
    "chromium": "chromium",
    "curl": "curl",
    "docker-compose": "docker-compose",
    "nginx": "nginx",
    "promtool": "prometheus",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
}
"""The Debian packages of programs."""
OTHER_NAMES = {"chromium": ("chromium-browser", "google-chrome")}
"""Other programs that will do: Ubuntu has no package of Chromium, but its images in CI have one."""
IN_CI = ("chromium", "nginx", "promtool", "redis-server")
"""The programs that ``.ci/install-servers`` installs."""


def required(program: str) -> str:
    """Return the path of a program.

    If it is missing, fail in CI if it should be installed there, otherwise skip the test.
    """
    folders = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    names = (program, *OTHER_NAMES.get(program, ()))
    found = next(filter(None, (shutil.which(name, path=folders) for name in names)), None)
    if found is None:
        package = PACKAGES.get(program)
        hint = f"Debian's package {package}" if package else "Debian has no package of it"
        skip(f"{program} is not installed ({hint})", in_ci=program not in IN_CI)
    return found


def skip(message: str, *, in_ci: bool = False) -> NoReturn:
    """Skip the test; in CI fail it, unless it may be skipped ``in_ci``, too."""
    if os.environ.get("CI") and not in_ci:
        pytest.fail(message)
    pytest.skip(message, allow_module_level=True)


def run(
    program: str, *arguments: str | Path, cwd: Path = ROOT, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a required program with ``text`` as its input; return its output."""
    command = [required(program), *arguments]
    return subprocess.run(command, cwd=cwd, input=text, capture_output=True, text=True, check=False)


def listens(port: int) -> bool:
    """Return whether something listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a server listens.  Raises AssertionError if it ends before, or takes too long."""
    end = time.monotonic() + SECONDS
    while not listens(port):
        assert process.poll() is None, f"{process.args!r} has ended"
        assert time.monotonic() < end, f"{process.args!r} does not listen"
