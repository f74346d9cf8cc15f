"""schemathesis sends to a live server what its API reference allows, and what it does not.

No answer may be a 500, have a status, a content type or a header that the reference does not name,
or a body that is not what it says.  Wrong methods are a 405, calls without a key a 401.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, TONE_PLUGINS
from tests.support.live_server import Server
from tests.support.uploads import JANE, KEYS

CONFIGURATION = ROOT / "tests" / "support" / "schemathesis.toml"
PROGRAM = Path(sys.executable).with_name("schemathesis")


@pytest.fixture
def keyed_server(tmp_path: Path) -> Iterator[Server]:
    """A live server with keys, whose engine clones voices and makes tones."""
    settings = {
        "engine": "cloning-tone",
        "plugins_dir": str(TONE_PLUGINS),
        "data_dir": str(tmp_path / "data"),
        "api_keys": ",".join(KEYS),
        "require_consent": "false",
        "max_streams": "32",  # never at its limit: a 503 would be found
    }
    with Server(**settings) as server:
        yield server.wait_ready()


def test_schemathesis_finds_nothing(keyed_server: Server, tmp_path: Path) -> None:
    found = subprocess.run(
        [
            PROGRAM, "--config-file", CONFIGURATION, "run", f"{keyed_server.url}/openapi.json",
            "--header", f"Authorization: {JANE['Authorization']}",
            "--workers", "2", "--continue-on-failure", "--no-shrink", "--no-color",
            "--warnings", "off",
        ],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    assert "No issues found" in found.stdout
    errors = [line for line in keyed_server.lines if "unexpected error" in line]
    assert errors == []
