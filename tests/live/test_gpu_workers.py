"""One worker a GPU, live: a machine whose nvidia-smi lists four GPUs."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_gpus import PLUGIN, VARIABLES, many, nvidia_smi
from tests.support.live_server import Server

SECONDS = 30
"""The longest wait for anything."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the settings of a server on a machine with four GPUs."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    nvidia_smi(tmp_path, many(4))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "graphics.py").write_text(PLUGIN)
    return {"engine": "graphics", "plugins_dir": str(tmp_path / "plugins")}


@pytest.fixture
def server(machine: dict[str, str]) -> Iterator[Server]:
    with Server(**machine) as started:
        started.wait_ready()
        yield started


def workers(server: Server, count: int, without: set[int] | None = None) -> dict[str, int]:
    """Wait for ready workers; return the GPU and the process of each, as ``/ready`` tells."""
    end = time.monotonic() + SECONDS
    while True:
        found = server.ready()["workers"]
        ready = [one for one in found if one["state"] == "ready"]
        pids = {one["gpu"]: one["pid"] for one in ready}
        if len(found) == len(ready) == count and not (without or set()) & set(pids.values()):
            return pids
        assert time.monotonic() < end, (found, server.lines[-20:])


def environment(pid: int) -> dict[str, str]:
    """Return what a process was started with: that of the master, for a worker."""
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def details(server: Server) -> dict[str, Any]:
    """Return what the engine of one worker says, over a new connection."""
    with urllib.request.urlopen(f"{server.url}/ready", timeout=10) as reply:
        found: dict[str, Any] = json.load(reply)["engine"]["details"]
    return found


def test_each_worker_has_a_gpu_and_keeps_it_over_a_death_and_a_reload(server: Server) -> None:
    first = workers(server, 4)
    assert sorted(first) == ["0", "1", "2", "3"]
    for gpu in first:
        server.wait_for(lambda line, gpu=gpu: f": engine graphics on GPU {gpu} (" in line)
    assert details(server)["CUDA_VISIBLE_DEVICES"] in first
    assert details(server)["torch"] is False
    assert "CUDA_VISIBLE_DEVICES" not in environment(server.process.pid)

    os.kill(first["2"], signal.SIGKILL)
    second = workers(server, 4, without={first["2"]})
    assert {**second, "2": 0} == {**first, "2": 0}

    server.process.send_signal(signal.SIGHUP)
    third = workers(server, 4, without=set(second.values()))
    assert sorted(third) == ["0", "1", "2", "3"]


def test_a_gpu_that_is_named_is_the_only_one_its_worker_sees(machine: dict[str, str]) -> None:
    with Server(**machine, graphics_device="cuda:2") as server:
        server.wait_ready()
        assert list(workers(server, 1)) == ["2"]
        assert details(server)["CUDA_VISIBLE_DEVICES"] == "2"


def test_a_gpu_that_is_not_there_stops_the_start(machine: dict[str, str]) -> None:
    with Server(**machine, graphics_device="cuda:4") as server:
        server.wait_for(lambda line: "cannot start: the engine is to run on cuda:4" in line)
        assert server.process.wait(SECONDS) != 0


def test_more_workers_than_gpus_are_logged(machine: dict[str, str]) -> None:
    with Server(**machine, workers="5", environ={"CUDA_VISIBLE_DEVICES": "1,3"}) as server:
        server.wait_for(lambda line: " WARNING " in line and "5 workers share 2 GPUs" in line)
        server.wait_ready()
        assert sorted(workers(server, 5)) == ["1", "3"]
