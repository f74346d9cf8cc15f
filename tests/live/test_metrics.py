"""The metrics of a live server with two workers: aggregated, through reloads and killed workers."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync import client

from tests.support import TONE_PLUGINS
from tests.support.live_server import GUNICORN, SERVE, Server, free_port
from tests.support.metrics import Scrape
from tests.support.raw_client import connect, read_all, speech
from tests.support.tools import run
from voxcpm_openai.metrics.folder import PREFIX

TONE = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS), "workers": "2"}
SECONDS = 30
"""The timeout of each wait."""


def folder_of(server: Server) -> Path:
    """Return the folder that a server holds open; other servers may run beside it."""
    handles = Path(f"/proc/{server.process.pid}/fd").iterdir()
    opened = [handle.readlink() for handle in handles if handle.is_symlink()]
    (folder,) = {path.parent for path in opened if path.parent.name.startswith(PREFIX)}
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(**TONE) as started:
        started.wait_ready()
        until(started.url, lambda found: ready(found) == 2)
        yield started


def ready(found: Scrape) -> float:
    return found.sum("voxcpm_engine_state", state="ready")


def started(found: Scrape) -> float:
    return found.sum("voxcpm_workers_started_total")


def finished(found: Scrape) -> float:
    return found.sum("voxcpm_speeches_total", outcome="done")


def until(url: str, holds: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until a condition holds, and return the last scrape."""
    end = time.monotonic() + SECONDS
    while not holds(found := Scrape.of(url)):
        assert time.monotonic() < end, found.text
    return found


def speak(server: Server, times: int) -> None:
    for _ in range(times):
        with connect(server) as connection:
            connection.sendall(speech("Hello."))
            assert read_all(connection).startswith(b"HTTP/1.1 200")


def pids(found: Scrape) -> set[int]:
    labels = found.labels("voxcpm_process_open_fds")
    return {int(one["pid"]) for one in labels if one["role"] == "worker"}


def test_counters_outlive_their_worker_and_gauges_do_not(
    server: Server,
) -> None:
    speak(server, 6)
    before = until(server.url, lambda found: finished(found) == 6)
    assert len(pids(before)) == 2
    assert before.sum("voxcpm_streams_limit") == 128

    victim = min(pids(before))
    os.kill(victim, signal.SIGKILL)
    killed = until(server.url, lambda found: started(found) == 3 and ready(found) == 2)
    assert finished(killed) == killed.sum("voxcpm_first_audio_seconds_count") == 6
    assert killed.sum("voxcpm_streams_limit") == 128
    assert victim not in pids(killed)

    speak(server, 2)
    old = pids(until(server.url, lambda found: finished(found) == 8))
    server.process.send_signal(signal.SIGHUP)
    reloaded = until(server.url, lambda found: not old & pids(found) and ready(found) == 2)
    assert finished(reloaded) == 8
    assert reloaded.sum("voxcpm_streams_limit") == 128
    speak(server, 2)
    after = until(server.url, lambda found: finished(found) == 10)
    assert after.sum("voxcpm_first_audio_seconds_bucket", le="+Inf") == 10
    assert not any(f'pid="{pid}"' in after.text for pid in old | {victim})


def test_counters_never_fall_while_workers_are_replaced(server: Server) -> None:
    speak(server, 4)
    last, rounds = 0.0, 0
    begun = 0.0
    for _ in range(2):
        old = pids(Scrape.of(server.url))
        server.process.send_signal(signal.SIGHUP)
        while old & pids(found := Scrape.of(server.url)):
            assert (finished(found), started(found)) >= (last, begun)
            last, begun, rounds = finished(found), started(found), rounds + 1
    assert last == 4
    assert rounds > 2


@pytest.mark.parametrize("command", [GUNICORN, SERVE], ids=["gunicorn", "serve"])
def test_each_start_has_its_own_folder_which_is_removed_at_the_end(
    command: tuple[str, ...],
) -> None:
    made = []
    for _ in range(2):
        with Server(command=command, **TONE) as server:
            server.wait_ready()
            speak(server, 1)
            assert finished(until(server.url, lambda found: finished(found) > 0)) == 1
            made.append(folder_of(server))
            assert made[-1].stat().st_mode & 0o777 == 0o700
    assert made[0] != made[1]
    assert not any(folder.exists() for folder in made)


def test_the_folder_of_a_killed_server_is_removed_by_the_next() -> None:
    with Server(**TONE) as server:
        server.wait_ready()
        workers = pids(Scrape.of(server.url))
        left = folder_of(server)
        server.process.kill()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
    with Server(**TONE) as server:
        server.wait_ready()
        assert not left.exists()


def test_the_admin_address_serves_metrics_without_a_key_and_survives_a_reload() -> None:
    port = free_port()
    admin = f"http://127.0.0.1:{port}"
    with Server(**TONE, admin_bind=f"127.0.0.1:{port}", api_keys="secret") as server:
        line = server.wait_for(lambda line: " ready at " in line)
        assert str(port) not in line
        until(admin, lambda found: ready(found) == 2)
        old = pids(Scrape.of(admin))
        server.process.send_signal(signal.SIGHUP)
        until(admin, lambda found: not old & pids(found) and ready(found) == 2)
        for path in ("health", "ready"):
            assert urllib.request.urlopen(f"{admin}/{path}", timeout=10).status == 200
        for url, status in ((f"{server.url}/metrics", 401), (f"{admin}/v1/models", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url, timeout=10)
            assert refused.value.code == status
            refused.value.close()


def test_the_lines_of_gunicorn_and_of_requests_are_json_if_configured() -> None:
    with Server(**TONE, log_format="json") as server:
        server.wait_for(lambda line: '"ready at http' in line)
        speak(server, 1)
        server.wait_for(lambda line: '"route": "/v1/audio/speech"' in line)
    lines = [json.loads(line) for line in server.lines]
    assert {"gunicorn.error", "voxcpm_openai.requests"} <= {line["logger"] for line in lines}
    (request,) = [line for line in lines if line.get("route") == "/v1/audio/speech"]
    assert request["status"] == 200
    assert request["outcome"] == "done"
    assert request["audio_s"] > 0


def test_promtool_accepts_the_metrics(server: Server) -> None:
    speak(server, 1)
    text = until(server.url, lambda found: finished(found) == 1).text
    checked = run("promtool", "check", "metrics", text=text)
    # The colon is vLLM's, whose names autoscalers read.
    reported = [line for line in checked.stderr.splitlines() if not line.startswith("vllm:")]
    assert (reported, checked.stdout) == ([], "")


def test_a_text_on_a_websocket_is_a_speech_and_has_a_line_in_the_log(server: Server) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]}
    asked = {"conversation": "none", "output_modalities": ["audio"], "input": [item]}
    url = f"ws://127.0.0.1:{server.port}/v1/realtime?model=gpt-realtime"
    with client.connect(url, additional_headers={"x-request-id": "mine"}) as socket:
        socket.send(json.dumps({"type": "response.create", "response": asked}))
        while json.loads(socket.recv(timeout=SECONDS))["type"] != "response.done":
            pass
        until(server.url, lambda found: found.sum("voxcpm_sockets_open") == 1)
        found = until(server.url, lambda found: finished(found) == 1)
        assert found.sum("voxcpm_speeches_total", model="gpt-realtime", outcome="done") == 1
        assert found.sum("voxcpm_characters_total") == 3
    line = server.wait_for(lambda line: " socket=/v1/realtime model=gpt-realtime " in line)
    assert "id=mine " in line
    until(server.url, lambda found: found.sum("voxcpm_sockets_open") == 0)
