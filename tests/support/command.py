"""The command line, run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(
    *arguments: str, stdin: bytes = b"", cwd: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[bytes]:
    """Run ``voxcpm-openai`` with no settings but the given ones: ``port="1"`` is VOXCPM_PORT."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("VOXCPM_")}
    variables = {f"VOXCPM_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "voxcpm_openai", *arguments],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**clean, **variables},
        timeout=60,
        check=False,
    )


def output_of(result: subprocess.CompletedProcess[bytes]) -> str:
    """Return standard output and standard error as one text."""
    return (result.stdout + result.stderr).decode()
