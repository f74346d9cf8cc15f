"""Idle unload and cached speech with several workers of a live server."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.json_socket import opened
from tests.support.live_server import Server

SECONDS = 30
PLUGIN = """
import os

from voxcpm_openai import EngineSpec, Preset, SettingsError, Voice, hookimpl
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine

FOLDER = {folder!r}


class LoggingEngine(ToneEngine):
    def stop(self):
        note("stopped")


def note(what):
    with open(os.path.join(FOLDER, "events"), "a") as file:
        file.write(f"{{what}} {{os.getpid()}}\\n")


def start(settings):
    note("started")
    if os.path.exists(os.path.join(FOLDER, "broken")):
        raise SettingsError("no memory is free")
    return LoggingEngine()


@hookimpl
def register_engines():
    return [EngineSpec("logged", start, voice_options=("tone",))]


@hookimpl
def register_voices():
    return [Voice("alloy", "Alloy", options={{"tone": {{"pitch": 440}}}})]


@hookimpl
def register_presets():
    return [Preset("logged", engine="logged")]
"""


class LoggedServer:
    """A server whose engines log their starts and stops to a file."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def events(self, what: str) -> list[int]:
        """Return the processes whose engines were started, or stopped."""
        lines = (self.folder / "events").read_text().splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith(what)]

    def until(self, holds: Callable[[], object]) -> None:
        """Poll until a condition holds."""
        end = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < end, self.server.lines[-20:]

    def get(self, path: str) -> dict[str, Any]:
        """Return a JSON object; one without workers if a worker that was killed has dropped it."""
        try:
            with urllib.request.urlopen(f"{self.server.url}{path}", timeout=SECONDS) as reply:
                body: dict[str, Any] = json.load(reply)
        except OSError:
            return {"workers": []}
        return body

    def states(self) -> list[str]:
        return sorted(worker["state"] for worker in self.get("/ready")["workers"])

    def has_started(self, count: int) -> bool:
        return len(self.events("started")) == count

    def pids(self) -> set[int]:
        return {worker["pid"] for worker in self.get("/ready")["workers"]}

    def has_replaced(self, pids: set[int], states: list[str]) -> bool:
        """Return whether these workers are gone, and the others have these states."""
        return not pids & self.pids() and self.states() == states

    def say(self, text: str = "Hello.", **fields: object) -> tuple[int, dict[str, str], bytes]:
        body = {"model": "logged", "voice": "alloy", "input": text, "response_format": "pcm"}
        request = urllib.request.Request(
            f"{self.server.url}/v1/audio/speech",
            json.dumps({**body, **fields}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


@contextmanager
def logged(tmp_path: Path, workers: int, **settings: str) -> Iterator[LoggedServer]:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "logged.py").write_text(PLUGIN.format(folder=str(tmp_path)))
    common = {"engine": "logged", "plugins_dir": str(plugins), "workers": str(workers)}
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with Server(environ=environ, **{**common, **settings}) as server:
        server.wait_ready()
        yield LoggedServer(server, tmp_path)


def test_each_worker_unloads_its_engine_and_a_request_loads_only_one(tmp_path: Path) -> None:
    with logged(tmp_path, 2, idle_unload="0.2") as server:
        server.until(lambda: server.states() == ["unloaded", "unloaded"])
        assert len(set(server.events("stopped"))) == 2
        assert server.get("/ready")["engine"]["state"] == "unloaded"
        assert server.get("/v1/models")["data"]
        assert len(server.events("started")) == 2
        assert server.say()[0] == 200
        assert len(server.events("started")) == 3
        server.until(lambda: server.states() == ["unloaded", "unloaded"])


def test_concurrent_requests_are_all_served(tmp_path: Path) -> None:
    with logged(tmp_path, 2, idle_unload="0.2") as server:
        server.until(lambda: server.states() == ["unloaded", "unloaded"])
        before = len(server.events("started"))
        with ThreadPoolExecutor(16) as pool:
            assert {status for status, *_ in pool.map(server.say, ["Hello."] * 32)} == {200}
        assert before < len(server.events("started")) <= before + 2


def test_an_idle_socket_does_not_keep_it_loaded_and_its_next_text_loads_it(tmp_path: Path) -> None:
    path = "/v1/text-to-speech/alloy/stream-input?output_format=pcm_24000&model_id=logged"
    with logged(tmp_path, 1, idle_unload="0.2") as server, opened(server.server, path) as client:
        client.send(text=" ")
        server.until(lambda: server.states() == ["unloaded"])
        for number in range(2, 5):
            client.send(text="This is a sentence. ", flush=True)
            server.until(partial(server.has_started, number))
            server.until(lambda: server.get("/health")["engine"]["state"] == "unloaded")
        client.send(text="")
        assert client.rest()[-1] == {"isFinal": True}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_and_a_stop_while_unloaded(tmp_path: Path, workers: int) -> None:
    with logged(tmp_path, workers, idle_unload="0.2") as server:
        server.until(lambda: server.states() == ["unloaded"] * workers)
        before = server.pids()
        server.server.process.send_signal(signal.SIGHUP)
        server.until(partial(server.has_replaced, before, ["unloaded"] * workers))
        assert server.say()[0] == 200
        server.until(lambda: server.states() == ["unloaded"] * workers)
        assert server.server.stop() == 0


def test_a_failed_load_is_a_503_and_retried(tmp_path: Path) -> None:
    with logged(tmp_path, 1, idle_unload="0.2") as server:
        server.until(lambda: server.states() == ["unloaded"])
        (tmp_path / "broken").touch()
        status, headers, body = server.say()
        assert (status, json.loads(body)["error"]["code"]) == (503, "engine_failed")
        assert 1 <= int(headers["Retry-After"]) <= 5
        server.server.wait_for(lambda line: "no memory is free" in line)
        (tmp_path / "broken").unlink()
        server.until(lambda: server.say()[0] == 200)


def test_workers_share_cached_speech_also_after_a_kill(tmp_path: Path) -> None:
    with logged(tmp_path, 2, cache_mb="10") as server:
        server.until(lambda: server.states() == ["ready", "ready"])
        _, headers, audio = server.say()
        assert headers["x-voxcpm-cache"] == "miss"
        for pid in server.pids():
            status, headers, found = server.say()
            assert (status, headers["x-voxcpm-cache"], found) == (200, "hit", audio)
            os.kill(pid, signal.SIGKILL)
            server.until(partial(server.has_replaced, {pid}, ["ready", "ready"]))
        assert server.say()[1]["x-voxcpm-cache"] == "hit"


def test_concurrent_identical_requests_are_synthesized_once_per_worker(
    tmp_path: Path,
) -> None:
    with logged(tmp_path, 2, cache_mb="10") as server:
        server.until(lambda: server.states() == ["ready", "ready"])
        for number in range(5):
            with ThreadPoolExecutor(16) as pool:
                replies = list(pool.map(server.say, [f"Sentence {number}."] * 16))
            assert len({audio for *_, audio in replies}) == 1
            found = [headers["x-voxcpm-cache"] for _, headers, _ in replies]
            assert 1 <= found.count("miss") <= 2
