"""Instances that stop, reload and are killed under load, behind nginx: what clients notice."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import openai
import pytest

from tests.support import TONE_PLUGINS, nginx
from tests.support.live_server import Server
from tests.support.nginx import Nginx
from tests.support.raw_client import connect, read_all, speech

CHUNK_BYTES = 3840 * 2
CHUNKS = 40
"""Chunks of a paced stream."""
STREAMS = 6
"""Streams that run when something happens: half of them in each instance."""
CLIENTS = 3
"""Clients that send one short request after the other."""
SECONDS = 90
"""The longest wait for anything."""


@pytest.fixture
def pace(tmp_path: Path) -> Path:
    """The file that paces streams."""
    file = tmp_path / "pace"
    file.write_bytes(b".")
    return file


@pytest.fixture
def instances(pace: Path) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        settings = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS), "tone_pace": str(pace)}
        servers = [
            stack.enter_context(Server(**settings, graceful_timeout=str(SECONDS))) for _ in range(2)
        ]
        yield [server.wait_ready() for server in servers]


@pytest.fixture
def proxy(instances: list[Server], tmp_path: Path) -> Iterator[Nginx]:
    with nginx.before(tmp_path, instances) as started:
        yield started


class Load:
    """Clients that send short requests until the end; ``failures``: what they did not get."""

    def __init__(self, proxy: Nginx, retries: int) -> None:
        """``retries``: of the SDK."""
        self.failures: list[str] = []
        self._api = openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="-", max_retries=retries)
        self._news = threading.Condition()
        self._count = 0
        self._ended = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for client in self._clients:
            client.join(SECONDS)
        self._api.close()

    def goes_on(self, count: int) -> None:
        """Wait until some more requests are done."""
        with self._news:
            goal = self._count + count
            assert self._news.wait_for(lambda: self._count >= goal, SECONDS), self.failures

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                sound = self._api.audio.speech.create(
                    model="tone", voice="alloy", input="Hello.", response_format="pcm"
                ).content
                if len(sound) != 3 * CHUNK_BYTES:
                    self.failures.append(f"{len(sound)} bytes")
            except openai.OpenAIError as error:
                self.failures.append(repr(error))
            with self._news:
                self._count += 1
                self._news.notify_all()


class Streams:
    """Clients that each listen to one paced stream; all have begun when it is made."""

    def __init__(self, proxy: Nginx, pool: ThreadPoolExecutor) -> None:
        self._api = openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="-")
        self._begun = threading.Semaphore(0)
        self._heard: list[Future[int]] = []
        for _ in range(STREAMS):  # one after the other, so that they are spread evenly
            self._heard.append(pool.submit(self._listen))
            assert self._begun.acquire(timeout=SECONDS)

    def ends(self) -> list[int | str]:
        """Return the bytes that each client got, or the exception that told it of a cut."""
        errors = [future.exception(SECONDS) for future in self._heard]
        self._api.close()
        return [
            type(error).__name__ if error else future.result()
            for error, future in zip(errors, self._heard, strict=True)
        ]

    def _listen(self) -> int:
        count = 0
        with self._api.audio.speech.with_streaming_response.create(
            model="tone", voice="alloy", input="paced", response_format="pcm"
        ) as reply:
            for part in reply.iter_bytes():
                if not count:
                    self._begun.release()
                count += len(part)
        return count


WHOLE = CHUNKS * CHUNK_BYTES


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_instance_that_stops_or_reloads_loses_no_request_and_cuts_no_stream(
    proxy: Nginx,
    instances: list[Server],
    pace: Path,
    pool: ThreadPoolExecutor,
    number: signal.Signals,
) -> None:
    victim = instances[0]
    with Load(proxy, retries=0) as load:
        streams = Streams(proxy, pool)
        load.goes_on(10)
        victim.process.send_signal(number)
        if number == signal.SIGHUP:
            victim.wait_for(lambda _: sum(" ready at " in line for line in victim.lines) == 2)
        load.goes_on(50)
        assert victim.process.poll() is None  # its streams are not over
        pace.write_bytes(b"." * CHUNKS)
        assert streams.ends() == [WHOLE] * STREAMS
        if number == signal.SIGTERM:
            assert victim.process.wait(SECONDS) == 0
        else:
            victim.wait_for(lambda line: "Worker exiting" in line)
        load.goes_on(20)
    assert load.failures == []


@pytest.mark.parametrize("whole", [True, False], ids=["instance", "worker"])
def test_of_a_killed_instance_every_cut_is_seen_and_the_sdk_retries_the_rest(
    proxy: Nginx, instances: list[Server], pace: Path, pool: ThreadPoolExecutor, whole: bool
) -> None:
    victim = instances[0]
    (worker,) = [line["pid"] for line in victim.ready()["workers"]]
    streams = Streams(proxy, pool)
    with Load(proxy, retries=2) as load:
        load.goes_on(10)
        if whole:
            victim.process.kill()
            victim.process.wait(SECONDS)
        os.kill(worker, signal.SIGKILL)
        load.goes_on(50)
        pace.write_bytes(b"." * CHUNKS)
        half = STREAMS // 2
        assert sorted(streams.ends(), key=str) == [WHOLE] * half + ["RemoteProtocolError"] * half
        if not whole:
            victim.wait_for(lambda _: sum(" ready at " in line for line in victim.lines) == 2)
        load.goes_on(20)
    assert load.failures == []


PLAIN = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    {temporary}
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
        }}
    }}
}}
"""
"""nginx's defaults: HTTP/1.0 to the server, without the length or the end of a stream."""


@pytest.mark.parametrize("cut", ["error", "killed", "stopped"])
def test_a_cut_stream_shows_behind_nginxs_defaults(tmp_path: Path, cut: str) -> None:
    settings = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS), "graceful_timeout": "1"}

    def configure(port: int) -> str:
        paths = nginx.temporary_paths(tmp_path)
        return PLAIN.format(folder=tmp_path, port=port, upstream=server.port, temporary=paths)

    with Server(**settings) as server:
        (worker,) = [line["pid"] for line in server.wait_ready().ready()["workers"]]
        with Nginx(tmp_path, configure) as proxy, connect(proxy) as client:
            client.sendall(speech("fail-late" if cut == "error" else "hang-late"))
            received = b""
            while len(received) < CHUNK_BYTES:
                received += client.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 ")
            if cut == "killed":
                os.kill(worker, signal.SIGKILL)
            elif cut == "stopped":
                server.process.terminate()
            assert not (received + read_all(client)).endswith(b"0\r\n\r\n")
