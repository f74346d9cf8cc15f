"""A real nginx with the shipped configuration before two instances: what clients and they see."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import openai
import pytest

from tests.support import TONE_PLUGINS, nginx
from tests.support.live_server import Server, free_port
from tests.support.nginx import Nginx
from tests.support.raw_client import connect, read_all, read_reply, request, speech
from tests.support.socket_client import SocketClient, handshake
from voxcpm_openai.web.sockets.channel import PING_SECONDS

STREAMS = 2
"""The most streams of an instance."""
CHUNK_BYTES = 3840 * 2
CHUNKS = 40
"""Chunks of a paced stream."""
MB = 1024 * 1024
SECONDS = 30
"""The longest wait for anything."""


@pytest.fixture(scope="module")
def pace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that paces streams."""
    file = tmp_path_factory.mktemp("pace") / "pace"
    file.touch()
    return file


@pytest.fixture(scope="module")
def instances(pace: Path) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        settings = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS), "tone_pace": str(pace)}
        servers = [
            stack.enter_context(Server(**settings, max_streams=str(STREAMS))) for _ in range(2)
        ]
        yield [server.wait_ready() for server in servers]


@pytest.fixture(scope="module")
def proxy(instances: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx.before(tmp_path_factory.mktemp("nginx"), instances) as started:
        yield started


@pytest.fixture
def client(proxy: Nginx) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="-", max_retries=0) as made:
        yield made


def running(instances: list[Server]) -> list[int]:
    return [server.ready()["streams"]["running"] for server in instances]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end


def until_running(instances: list[Server], counts: list[int]) -> None:
    until(lambda: running(instances) == counts)


def test_the_shipped_configuration_is_valid(proxy: Nginx) -> None:
    said = proxy.check()
    assert "test is successful" in said
    assert "[warn]" not in said


@pytest.mark.parametrize("form", ["audio", "sse"])
def test_each_chunk_arrives_before_the_next_is_made(proxy: Nginx, pace: Path, form: str) -> None:
    pace.write_bytes(b"")
    with connect(proxy) as stream:
        stream.sendall(speech("paced", stream_format=form))
        received = b""
        for count in range(1, 6):
            pace.write_bytes(b"." * count)
            while amount(received, form) < count:
                received += stream.recv(65536)
        pace.write_bytes(b"." * CHUNKS)
        assert read_all(stream).endswith(b"0\r\n\r\n")


def amount(received: bytes, form: str) -> int:
    """Return how many chunks have come."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert not head or b" 200 " in head.splitlines()[0]
    return body.count(b"speech.audio.delta") if form == "sse" else len(body) // CHUNK_BYTES


def test_the_client_speaks_lists_and_gets_its_own_errors(client: openai.OpenAI) -> None:
    sound = client.audio.speech.create(
        model="tone", voice="alloy", input="Hello.", response_format="wav"
    ).content
    assert sound.startswith(b"RIFF")
    assert "tone" in [model.id for model in client.models.list()]
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="tone", voice="nobody", input="Hello.")
    assert caught.value.param == "voice"


def test_the_work_for_a_client_that_leaves_stops(proxy: Nginx, instances: list[Server]) -> None:
    with connect(proxy) as stream:
        stream.sendall(speech("hang-late"))
        assert stream.recv(12) == b"HTTP/1.1 200"
        assert sum(running(instances)) == 1
    until_running(instances, [0, 0])


def test_the_next_request_goes_where_the_fewest_run(proxy: Nginx, instances: list[Server]) -> None:
    with connect(proxy) as stream:
        stream.sendall(speech("hang-late"))
        assert stream.recv(12) == b"HTTP/1.1 200"
        free = instances[running(instances).index(0)]
        for _ in range(4):
            id_ = uuid.uuid4().hex
            with connect(proxy) as late:
                late.sendall(request("GET", "/v1/models", X_Request_Id=id_, Connection="close"))
                read_all(late)
            free.wait_for(lambda line, id_=id_: id_ in line, SECONDS)
    until_running(instances, [0, 0])


def test_a_full_instance_passes_on_and_two_full_ones_refuse(
    proxy: Nginx, instances: list[Server], client: openai.OpenAI
) -> None:
    def fill(server: Server) -> None:
        for _ in range(STREAMS):
            stack.enter_context(connect(server)).sendall(speech("hang"))

    with ExitStack() as stack:
        fill(instances[0])
        until_running(instances, [STREAMS, 0])
        ids = [uuid.uuid4().hex for _ in range(4)]
        for id_ in ids:  # one after the other: both are asked in turn
            client.audio.speech.create(
                model="tone", voice="alloy", input="Hello.", extra_headers={"X-Request-Id": id_}
            )
        line = instances[0].wait_for(lambda line: any(id_ in line for id_ in ids))
        assert "status=503" in line
        (refused,) = [id_ for id_ in ids if id_ in line]
        assert "status=200" in instances[1].wait_for(lambda line: refused in line)

        fill(instances[1])
        until_running(instances, [STREAMS, STREAMS])
        for _ in range(3):  # again and again the answer of an instance, not nginx's own
            with pytest.raises(openai.InternalServerError) as caught:
                client.audio.speech.create(model="tone", voice="alloy", input="Hello.")
            assert caught.value.status_code == 503
            assert caught.value.code == "overloaded"
            assert int(caught.value.response.headers["Retry-After"]) >= 1
    until_running(instances, [0, 0])


@pytest.mark.parametrize(
    ("path", "type_", "size", "status"),
    [
        ("/v1/audio/speech", "application/json", 2 * MB, 413),
        ("/v1/audio/speech", "application/json", 30 * MB, 413),
        ("/v1/audio/speech", "application/json", 60 * MB, 413),  # beyond nginx's own limit
        ("/v1/audio/voices", "multipart/form-data; boundary=x", 24 * MB, 413),
        ("/v1/audio/voices", "text/plain", 10 * MB, 415),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_a_refusal_of_a_large_body_is_readable(
    proxy: Nginx, path: str, type_: str, size: int, status: int, chunked: bool
) -> None:
    length = {"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": str(size)}
    block = b"x" * MB
    with connect(proxy) as stream:
        stream.sendall(request("POST", path, Content_Type=type_, **length))
        for _ in range(size // MB):
            stream.sendall(b"%x\r\n%b\r\n" % (MB, block) if chunked else block)
        if chunked:
            stream.sendall(b"0\r\n\r\n")
        found, body = read_reply(stream)
    assert found == status, body
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


def test_a_request_id_is_handed_on_and_one_that_is_missing_or_odd_is_made(
    proxy: Nginx, instances: list[Server]
) -> None:
    for sent, kept in (("from-a-client.1", True), (None, False), ("a b", False)):
        headers = {"X-Request-Id": sent} if sent else {}
        asked = urllib.request.Request(f"{proxy.url}/v1/models", headers=headers)
        with urllib.request.urlopen(asked) as reply:
            id_ = reply.headers["x-request-id"]
        assert id_ == sent if kept else re.fullmatch("[0-9a-f]{32}", id_)
        until_logged(id_, lambda: instances[0].lines + instances[1].lines)
        until_logged(id_, lambda: (proxy.folder / "speech.log").read_text().splitlines())


def until_logged(id_: str, lines: Callable[[], list[str]]) -> None:
    until(lambda: any(f"id={id_} " in line for line in lines()))


def test_a_stream_survives_a_reload_of_nginx(
    proxy: Nginx, pace: Path, client: openai.OpenAI
) -> None:
    pace.write_bytes(b".")
    with client.audio.speech.with_streaming_response.create(
        model="tone", voice="alloy", input="paced", response_format="pcm"
    ) as reply:
        parts = reply.iter_bytes(CHUNK_BYTES)
        received = len(next(parts))
        proxy.reload()
        pace.write_bytes(b"." * CHUNKS)
        assert received + sum(map(len, parts)) == CHUNKS * CHUNK_BYTES


def test_without_an_instance_the_client_gets_a_503_that_it_can_read(tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with (
        Nginx(tmp_path, lambda port: nginx.shipped(tmp_path, port, addresses)) as proxy,
        openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="-", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.audio.speech.create(model="tone", voice="alloy", input="Hello.")
    assert (caught.value.status_code, caught.value.code) == (503, "unavailable")
    assert caught.value.response.headers["Retry-After"] == "1"
    assert len(caught.value.response.headers["x-request-id"]) == 32


def test_the_lines_for_tls_work(instances: list[Server], tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(tmp_path / "speech.key"), "-out", str(tmp_path / "speech.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    address = f"127.0.0.1:{instances[0].port}"
    trust = ssl.create_default_context(cafile=str(tmp_path / "speech.pem"))
    with Nginx(
        tmp_path, lambda port: nginx.shipped(tmp_path, port, [address], tls=str(tmp_path))
    ) as proxy:
        url = f"https://127.0.0.1:{proxy.port}/ready"
        with urllib.request.urlopen(url, timeout=10, context=trust) as reply:
            assert reply.status == 200


def test_a_realtime_session_is_passed_on_as_it_is_spoken(
    proxy: Nginx, pace: Path, instances: list[Server]
) -> None:
    pace.write_bytes(b"")
    with SocketClient(proxy) as client:
        client.until("session.created")
        client.speak("paced")
        for count in range(1, 6):
            pace.write_bytes(b"." * count)
            client.until("response.output_audio.delta")
        pace.write_bytes(b"." * CHUNKS)
        assert client.until("response.done")[-1]["response"]["status"] == "completed"
        client.close()
        assert client.closed == (1000, "")
    until_open(instances, 0)


def until_open(instances: list[Server], count: int) -> None:
    until(lambda: sum(server.ready()["sockets"]["open"] for server in instances) == count)


def test_the_speech_for_a_socket_that_leaves_stops(proxy: Nginx, instances: list[Server]) -> None:
    with SocketClient(proxy) as client:
        client.speak("hang-late")
        client.until("response.output_audio.delta")
        assert sum(running(instances)) == 1
    until_running(instances, [0, 0])
    until_open(instances, 0)


def test_pages_of_the_proxy_may_open_sockets_and_others_may_not(proxy: Nginx) -> None:
    host = f"127.0.0.1:{proxy.port}"
    with SocketClient(proxy, Host=host, Origin=f"http://{host}") as client:
        client.until("session.created")
    with connect(proxy) as stream:
        stream.sendall(handshake(Host=host, Origin="http://127.0.0.1:1"))
        assert read_reply(stream)[0] == 403


def test_a_handshake_that_fails_gets_the_error_of_an_instance(proxy: Nginx) -> None:
    with connect(proxy) as stream:
        stream.sendall(handshake(Sec_WebSocket_Version="12"))
        status, body = read_reply(stream)
    assert status == 426
    assert "version must be 13" in json.loads(body)["error"]["message"]


def test_pings_come_before_nginx_takes_a_silent_socket_for_dead() -> None:
    timeouts = re.findall(r"proxy_read_timeout (\d+)s;", nginx.SHIPPED.read_text())
    assert len(timeouts) == 1
    assert min(60, int(timeouts[0])) > 2 * PING_SECONDS, "nginx's own is 60 s"


def test_a_client_of_http_1_0_is_served(proxy: Nginx) -> None:
    with connect(proxy) as stream:
        stream.sendall(speech("Hello.", "1.0"))
        head, _, body = read_all(stream).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert len(body) == 3 * CHUNK_BYTES
