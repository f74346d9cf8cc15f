"""Limits and usage on live servers: several workers, WebSockets, the official SDK."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.support import TONE_PLUGINS
from tests.support.clock import avoid_end_of_minute
from tests.support.json_socket import JsonSocket, opened
from tests.support.live_server import Server
from tests.support.redis_server import Redis
from tests.support.socket_client import until

SECONDS = 30
TONE = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS)}
FILE = """
[keys.jane]
key = "jane's key"
requests_per_minute = 3
[keys.john]
key = "john's key"
requests_per_minute = 1000
streams = 1
[keys.slow]
key = "slow key"
characters_per_minute = 20
[keys.boss]
key = "boss's key"
operator = true
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "keys.toml").write_text(FILE)
    (folder / "keys.toml").chmod(0o600)
    return folder


def start(folder: Path, **settings: str) -> Server:
    keys = str(folder / "keys.toml")
    given = {"api_keys_file": keys, "data_dir": str(folder / "data"), **TONE, **settings}
    return Server(**given)


@pytest.fixture(scope="module")
def server(folder: Path, redis: Redis) -> Iterator[Server]:
    """A server of two workers, both of which are ready."""
    with start(folder, workers="2", limits_url=redis.url) as server:
        server.wait_ready()
        until(lambda: [one["state"] for one in server.ready()["workers"]] == ["ready"] * 2)
        yield server


def say(server: Server, key: str, text: str = "Hello.") -> tuple[int, dict[str, str]]:
    """Speak over a connection of its own; return the status and the headers."""
    body = json.dumps({"model": "tone", "input": text, "voice": "alloy"}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/v1/audio/speech", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            reply.read()
            return reply.status, dict(reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers)


def test_two_workers_count_together_in_redis(server: Server) -> None:
    avoid_end_of_minute()
    counts = Counter(say(server, "jane's key")[0] for _ in range(8))
    assert counts == {200: 3, 429: 5}
    left = [int(say(server, "john's key")[1]["x-ratelimit-remaining-requests"]) for _ in range(20)]
    assert left == list(range(999, 979, -1))  # each counts those of the other


def test_no_request_fails_without_redis(folder: Path) -> None:
    with Redis() as redis, start(folder, workers="2", limits_url=redis.url) as server:
        server.wait_ready()
        assert say(server, "john's key")[0] == 200
        redis.stop()
        assert {say(server, "john's key")[0] for _ in range(10)} == {200}
        server.wait_for(lambda line: "Redis does not answer; each worker" in line)


def test_two_workers_without_redis_divide_the_limits_and_log_it(folder: Path) -> None:
    with start(folder, workers="2") as server:
        server.wait_ready()
        until(lambda: [one["state"] for one in server.ready()["workers"]] == ["ready"] * 2)
        server.wait_for(lambda line: "2 workers divide the requests" in line)
        avoid_end_of_minute()
        counts = Counter(say(server, "jane's key")[0] for _ in range(12))
        assert counts[429] >= 10  # a share of 1 for each
        assert 1 <= counts[200] <= 2
        assert say(server, "john's key")[1]["x-ratelimit-limit-requests"] == "500"


def test_the_official_sdk_follows_retry_after(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    body: dict[str, Any] = {"model": "tone", "input": "x" * 15, "voice": "alloy"}
    slept: list[float] = []
    avoid_end_of_minute()
    with OpenAI(base_url=f"{server.url}/v1", api_key="slow key", max_retries=1) as client:
        client.audio.speech.create(**body)
        monkeypatch.setattr("time.sleep", slept.append)
        with pytest.raises(openai.RateLimitError) as caught:
            client.audio.speech.create(**body)
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.response.headers["x-ratelimit-remaining-tokens"] == "5"
        told = int(caught.value.response.headers["retry-after"])
        assert [abs(seconds - told) <= 1 for seconds in slept] == [True]
        with pytest.raises(openai.RateLimitError):
            client.audio.speech.create(**{**body, "input": "x" * 21})
        assert len(slept) == 1  # never admitted, so it is not retried


def socket(server: Server, path: str, key: str) -> Any:
    return opened(server, path, additional_headers={"Authorization": f"Bearer {key}"})


def respond(client: JsonSocket, text: str) -> dict[str, Any]:
    """Let a text be read aloud; return the response at its end."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    client.send(type="response.create", response={"conversation": "none", "input": [item]})
    done = client.until(lambda message: message["type"] == "response.done")[-1]
    response: dict[str, Any] = done["response"]
    return response


def test_the_limit_fails_a_realtime_response_and_keeps_the_socket_open(
    folder: Path,
) -> None:
    with (
        start(folder, characters_per_minute="0") as server,
        socket(server.wait_ready(), "/v1/realtime", "slow key") as client,
    ):
        assert client.receive()["type"] == "session.created"
        avoid_end_of_minute()
        assert respond(client, "Twelve chars.")["status"] == "completed"
        failed = respond(client, "Twelve more..")
        assert failed["status"] == "failed"
        error = failed["status_details"]["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert respond(client, "Hi.")["status"] == "completed"


def test_the_limit_closes_elevenlabs_socket_with_the_time_to_retry(folder: Path) -> None:
    path = "/v1/text-to-speech/alloy/stream-input?output_format=pcm_24000"
    with start(folder) as server:
        server.wait_ready()
        avoid_end_of_minute()
        for _ in range(3):
            assert say(server, "jane's key")[0] == 200
        with socket(server, path, "jane's key") as client:
            for text in (" ", "Hello there. ", ""):
                client.send(text=text)
            messages = client.rest()
            code, reason = client.closed()
    assert messages[-1]["error"] == "rate_limit_exceeded"
    assert code == 1013
    assert reason.startswith("Try again in ")


def test_the_limit_is_an_error_of_vllm_omnis_socket(folder: Path) -> None:
    with start(folder) as server:
        server.wait_ready()
        avoid_end_of_minute()
        for _ in range(3):
            assert say(server, "jane's key")[0] == 200
        with socket(server, "/v1/audio/speech/stream", "jane's key") as client:
            client.send(type="session.config", voice="alloy", response_format="pcm")
            client.send(type="input.text", text="Hello there.")
            client.send(type="input.done")
            messages = client.until(lambda message: message["type"] == "session.done")
    assert messages[0]["type"] == "error"
    assert messages[0]["code"] == "rate_limit_exceeded"


def test_a_session_counts_as_a_stream_of_its_key(folder: Path) -> None:
    with (
        start(folder) as server,
        socket(server.wait_ready(), "/v1/realtime", "john's key") as client,
    ):
        client.receive()
        content = [{"type": "input_text", "text": "hang"}]
        item = {"type": "message", "role": "user", "content": content}
        client.send(type="response.create", response={"conversation": "none", "input": [item]})
        until(lambda: server.ready()["streams"]["running"] == 1)
        assert say(server, "john's key")[0] == 429
        client.send(type="response.cancel")
        client.until(lambda message: message["type"] == "response.done")
        until(lambda: server.ready()["streams"]["running"] == 0)
        assert say(server, "john's key")[0] == 200


def test_a_removed_key_is_refused_on_an_open_socket(folder: Path) -> None:
    file = folder / "keys.toml"
    with (
        start(folder) as server,
        socket(server.wait_ready(), "/v1/realtime", "john's key") as client,
    ):
        client.receive()
        assert respond(client, "Hello.")["status"] == "completed"
        try:
            file.write_text(FILE.replace("john's key", "another key"))
            until(lambda: say(server, "john's key")[0] == 401)
            assert respond(client, "Hello.")["status"] == "failed"
            assert say(server, "another key")[0] == 200
        finally:
            file.write_text(FILE)


def used(server: Server, key: str) -> dict[str | None, tuple[int, int]]:
    """Return the requests and characters of each key, as OpenAI's own SDK reads them."""
    start = int(time.time()) - 86_400
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", admin_api_key=key) as client:
        page = client.admin.organization.usage.audio_speeches(
            start_time=start, group_by=["api_key_id"], models=["tone", "gpt-4o-mini-tts", "tts-1"]
        )
    found: Counter[tuple[str | None, str]] = Counter()
    for bucket in page.data:
        for one in bucket.results:
            assert one.object == "organization.usage.audio_speeches.result"
            name = getattr(one, "api_key_name", None)
            found[name, "requests"] += one.num_model_requests
            found[name, "characters"] += one.characters
    return {name: (found[name, "requests"], found[name, "characters"]) for name, _ in found}


def test_usage_of_all_workers_is_kept_over_a_restart(folder: Path, tmp_path: Path) -> None:
    settings = {"workers": "2", "data_dir": str(tmp_path / "data")}
    with start(folder, **settings) as server:
        server.wait_ready()
        until(lambda: [one["state"] for one in server.ready()["workers"]] == ["ready"] * 2)
        for _ in range(6):
            assert say(server, "john's key")[0] == 200
        path = "/v1/text-to-speech/alloy/stream-input?output_format=pcm_24000"
        with socket(server, path, "john's key") as client:
            for text in (" ", "Hello there. ", ""):
                client.send(text=text)
            assert client.rest()[-1]["isFinal"] is True
    assert server.process.returncode == 0
    with start(folder, **settings) as server:
        server.wait_ready()
        assert used(server, "john's key") == {"john": (7, 49)}
        assert used(server, "boss's key") == {"john": (7, 49)}
        assert used(server, "jane's key") == {}
