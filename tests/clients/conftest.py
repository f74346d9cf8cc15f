"""Fixtures: a live server of another environment, and a check of what a client received.

The server's packages are not installed here, nor the clients where the other tests run.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.clients.hearing import TEXT, THREE, Hearing
from tests.support import ROOT
from tests.support.live_server import Server

if find_spec("livekit") is None:
    collect_ignore_glob = ["test_*.py"]

PYTHON = ROOT / os.environ.get("SERVER_PYTHON", ".venv/bin/python")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A live server with the embedded engine and the default settings."""
    folders = {
        name: str(tmp_path_factory.mktemp("home")) for name in ("XDG_DATA_HOME", "HIBARI_HOME")
    }
    with Server(python=str(PYTHON), environ=folders) as server:
        yield server.wait_ready()


@pytest.fixture(scope="session")
def hearing(server: Server) -> Hearing:
    """A listener that knows how long the server takes to say the text."""

    def seconds(text: str) -> float:
        body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"}
        request = urllib.request.Request(
            f"{server.url}/v1/audio/speech",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return len(reply.read()) / 48_000

    return Hearing(together=seconds(TEXT), apart=sum(map(seconds, THREE)))
