"""Where a live server listens, and what it reports to the operator and to systemd."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import stat
import subprocess
import urllib.request
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import SERVE, Server, free_port
from tests.support.tools import skip
from tests.support.unix_http import UnixConnection, notify_socket

TONE = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS)}


def ready_line(server: Server) -> str:
    return server.wait_for(lambda line: " ready at " in line)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_server_at_a_unix_socket_answers_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "speech.sock"
    with socket.socket(socket.AF_UNIX) as killed:  # left by a server that was killed
        killed.bind(str(path))
    with Server(host=f"unix:{path}", **TONE) as server:
        line = ready_line(server)
        assert f" ready at unix:{path}: engine tone" in line
        assert f"try: curl --unix-socket {path} http://localhost/v1/audio/speech " in line
        assert stat.S_ISSOCK(path.stat().st_mode)
        body = json.dumps({"model": "tone", "input": "Hello.", "response_format": "pcm"})
        with closing(UnixConnection(path)) as connection:
            connection.request(
                "POST", "/v1/audio/speech", body, {"Content-Type": "application/json"}
            )
            reply = connection.getresponse()
            assert (reply.status, len(reply.read())) == (200, 3 * 3840 * 2)
            connection.request("GET", "/nothing")
            assert connection.getresponse().status == 404

        with Server(host=f"unix:{path}", **TONE) as second:
            second.wait_for(lambda line: "another server listens there" in line)
            assert second.process.wait(30) != 0
        with closing(UnixConnection(path)) as connection:
            connection.request("GET", "/ready")
            assert connection.getresponse().status == 200
        assert server.stop() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_replaced_by_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "speech.sock"
    path.write_bytes(b"content")
    with Server(host=f"unix:{path}") as server:
        server.wait_for(lambda line: "it is no socket, and is not replaced" in line)
        assert server.process.wait(30) != 0
    assert path.read_bytes() == b"content"


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_options_of_serve_win_and_the_ready_line_has_them(
    tmp_path: Path, host: str, shown: str
) -> None:
    if host == "::1" and not has_ipv6():
        skip("this machine has no IPv6, as many containers", in_ci=True)
    file = tmp_path / "voxcpm.toml"
    file.write_text('host = "0.0.0.0"\nport = 1\n')
    port = free_port()
    command = (*SERVE, "--host", host, "--port", str(port))
    with Server(command=command, host="0.0.0.0", config=str(file), **TONE) as server:
        line = ready_line(server)
        assert f" ready at http://{shown}:{port}: " in line
        assert f"curl http://{shown}:{port}/v1/audio/speech" in line
        with urllib.request.urlopen(f"http://{shown}:{port}/ready", timeout=10) as reply:
            assert reply.status == 200


def test_the_ready_line_says_where_gunicorn_listens_not_where_the_settings_say() -> None:
    port = free_port()
    command = ("-m", "gunicorn", "-c", "gunicorn.conf.py", "-b", f"127.0.0.1:{port}", "wsgi:app")
    with Server(command=command, host="unix:/no/such.sock", **TONE) as server:
        assert f" ready at http://127.0.0.1:{port}: " in ready_line(server)


def test_the_ready_line_of_a_server_with_tls_has_https(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    arguments = {"GUNICORN_CMD_ARGS": f"--certfile {certificate} --keyfile {key}"}
    with Server(command=SERVE, environ=arguments, **TONE) as server:
        line = ready_line(server)
        url = f"https://127.0.0.1:{server.port}"
        assert f" ready at {url}: " in line
        assert f"curl {url}/v1/audio/speech" in line
        trust = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{url}/ready", timeout=10, context=trust) as reply:
            assert reply.status == 200

        certificate.write_text("wrong")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda line: re.search(r"not reloaded.*certificate\.pem cannot", line))


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_notified_of_a_ready_engine_of_a_reload_and_of_the_end(
    tmp_path: Path, kind: str
) -> None:
    name = f"@voxcpm-{uuid.uuid4().hex}" if kind == "abstract" else str(tmp_path / "notify")
    with (
        notify_socket(name) as manager,
        Server(environ={"NOTIFY_SOCKET": name}, **TONE) as server,
    ):
        assert manager.recv(1000) == b"READY=1"
        assert server.ready()["engine"]["state"] == "ready"

        server.process.send_signal(signal.SIGHUP)
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(1000))
        assert manager.recv(1000) == b"READY=1"

        assert server.stop() == 0
        assert manager.recv(1000) == b"STOPPING=1"


def test_an_engine_that_fails_is_never_reported_as_ready(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(
        "from voxcpm_openai import EngineSpec, Preset, hookimpl\n"
        "def start(settings): raise RuntimeError('no')\n"
        "@hookimpl\n"
        "def register_engines(): return [EngineSpec('failing', start)]\n"
        "@hookimpl\n"
        "def register_presets(): return [Preset('failing', engine='failing')]\n"
    )
    name = str(tmp_path / "notify")
    with (
        notify_socket(name) as manager,
        Server(
            environ={"NOTIFY_SOCKET": name}, engine="failing", plugins_dir=str(tmp_path)
        ) as server,
    ):
        server.wait_for(lambda line: "did not start" in line)
        server.stop()
        assert manager.recv(1000) == b"STOPPING=1"
