"""Runs benchmarks as commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

on_linux = pytest.mark.skipif(
    sys.platform != "linux",
    reason="it reads /proc, or sets priorities as Linux does",
)


def rows_of(folder: Path, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """Run a benchmark; return its rows and what it printed."""
    file = folder / "rows.json"
    result = subprocess.run(
        [sys.executable, *arguments, "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(file.read_text()), result.stdout
