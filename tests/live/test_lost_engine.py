"""A worker whose engine fails after its start is replaced."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.live_server import Server

PLUGIN = """
import os

from voxcpm_openai import EngineSpec, EngineStatus, Preset, Unavailable, Voice, hookimpl
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine


class FragileEngine(ToneEngine):
    lost = False

    def synthesize(self, utterance):
        if "break" in utterance.segments[0].text:
            self.lost = True
            raise Unavailable("The device is lost.")
        return super().synthesize(utterance)

    def status(self):
        state = "failed" if self.lost else "ready"
        return EngineStatus(state=state, summary=f"in process {os.getpid()}")


@hookimpl
def register_engines():
    return [EngineSpec("fragile", lambda _: FragileEngine(), voice_options=("tone",))]


@hookimpl
def register_voices():
    return [Voice("tone", "Tone", options={"tone": {"pitch": 440}})]


@hookimpl
def register_presets():
    return [Preset("fragile", engine="fragile")]
"""


def status_of(server: Server, text: str) -> int:
    """Ask for speech over a new connection; return the status."""
    request = urllib.request.Request(
        f"{server.url}/v1/audio/speech",
        json.dumps({"model": "fragile", "voice": "tone", "input": text}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            reply.read()
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_whose_engine_has_failed_is_replaced(tmp_path: Path, workers: int) -> None:
    (tmp_path / "fragile.py").write_text(PLUGIN)
    settings = {"engine": "fragile", "plugins_dir": str(tmp_path), "workers": str(workers)}
    with Server(**settings) as server:
        server.wait_for(lambda _: len(processes(server)) == workers)
        first = processes(server)
        assert status_of(server, "break") == 503
        server.wait_for(lambda line: "engine fragile has failed: this worker is replaced" in line)
        server.wait_for(lambda _: len(processes(server)) > workers)
        assert processes(server) > first
        assert {status_of(server, "hello") for _ in range(4)} == {200}


def processes(server: Server) -> set[str]:
    """Return the processes of the ready lines, which have what an engine says of itself."""
    return {found for line in server.lines for found in re.findall(r"\): in process (\d+);", line)}
