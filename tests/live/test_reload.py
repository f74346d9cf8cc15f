"""SIGHUP to a live server: new settings that are right, and settings that are wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support import TONE_PLUGINS
from tests.support.live_server import GUNICORN, SERVE, Server, free_port
from tests.support.unix_http import UnixConnection

TONE = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS)}

WRONG: dict[str, tuple[str, str]] = {
    "not TOML": ("max_streams =", "is not TOML"),
    "a wrong value": ("max_streams = 0", "max_streams = 0: Must be greater"),
    "an unknown key": ("max_steams = 4", "max_steams = 4: there is no such setting"),
    "no such voice": ('default_voice = "nobody"', "VOXCPM_DEFAULT_VOICE = 'nobody'"),
    "open to all": ('host = "0.0.0.0"', "listening on 0.0.0.0 would admit anyone"),
    "a socket": ('host = "unix:/no/such.sock"', "unix:/no/such.sock: there is no folder /no"),
    "a lexicon": ('lexicon = "{folder}/names.toml"', "'Nguyen': 'alias' must have"),
    "a data folder": ('data_dir = "/proc/self/fdinfo/x"', "the folder cannot be created"),
    "several": ('default_voice = "x"\nhost = "0.0.0.0"', "admit anyone.*; VOXCPM_DEFAULT_VOICE"),
}


class Reloading(Server):
    """A server whose settings are in a file."""

    def __init__(self, folder: Path, command: tuple[str, ...]) -> None:
        self.file = folder / "voxcpm.toml"
        self.file.write_text("max_streams = 4\n")
        super().__init__(command=command, config=str(self.file), log_level="debug", **TONE)

    def reload(self, content: str) -> None:
        self.file.write_text(content)
        self.process.send_signal(signal.SIGHUP)

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, line)) for line in self.lines)


@pytest.fixture(scope="module", params=[GUNICORN, SERVE], ids=["gunicorn", "serve"])
def reloading(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reloading]:
    """A live server that is not changed by the tests."""
    folder = tmp_path_factory.mktemp("reload")
    (folder / "names.toml").write_text('[alias]\nNguyen = ""\n')
    with Reloading(folder, request.param) as server:
        server.wait_ready()
        yield server


@pytest.mark.parametrize("name", WRONG)
def test_wrong_settings_are_logged_in_one_line_and_the_workers_go_on(
    reloading: Reloading, name: str
) -> None:
    content, message = WRONG[name]
    reloading.reload(content.format(folder=reloading.file.parent))
    line = reloading.wait_for(lambda line: re.search(rf"not reloaded.*{message}", line) is not None)
    assert " ERROR " in line
    assert "not reloaded, the workers go on with the old settings: " in line
    assert reloading.ready()["streams"]["limit"] == 4
    assert reloading.count("Booting worker") == 1
    assert reloading.count("Traceback") == 0
    assert reloading.process.poll() is None


@pytest.mark.parametrize("command", [GUNICORN, SERVE], ids=["gunicorn", "serve"])
def test_right_settings_reach_the_new_workers_and_their_threads(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    with Reloading(tmp_path, command) as server:
        server.wait_ready()
        server.wait_for(lambda line: line.strip() == "threads: 20")
        server.reload("max_streams = 0")
        server.wait_for(lambda line: "not reloaded" in line)
        server.reload("max_streams = 7\nworkers = 2\n")
        server.wait_for(lambda line: line.strip() == "threads: 23")
        server.wait_for(lambda line: "Worker exiting" in line)
        server.wait_for(lambda _: server.count(" ready at ") == 3)
        assert server.ready()["streams"]["limit"] == 7


def test_a_worker_that_is_started_later_uses_the_settings_that_were_checked(
    tmp_path: Path,
) -> None:
    with Reloading(tmp_path, GUNICORN) as server:
        line = server.wait_for(lambda line: "Booting worker with pid: " in line)
        server.wait_ready()
        server.file.write_text("max_streams = 0")
        os.kill(int(line.rpartition(" ")[2]), signal.SIGKILL)
        server.wait_for(lambda _: server.count(" ready at ") == 2)
        assert server.ready()["streams"]["limit"] == 4


@contextmanager
def own_configuration(folder: Path) -> Iterator[tuple[Reloading, Path]]:
    """Run a server with a configuration of gunicorn's own; yield its file."""
    file = folder / "own.conf.py"
    file.write_text("from voxcpm_openai.gunicorn_conf import *\n")
    command = ("-m", "gunicorn", "-c", str(file), "wsgi:app")
    with Reloading(folder, command) as server:
        server.wait_ready()
        yield server, file


def test_a_wrong_configuration_of_gunicorns_own_is_refused(tmp_path: Path) -> None:
    with own_configuration(tmp_path) as (server, file):
        file.write_text("workers = 'many'\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda line: "gunicorn's configuration is wrong" in line)
        assert server.ready()["streams"]["limit"] == 4
        assert server.count("Booting worker") == 1


def test_another_port_is_listened_on_after_a_reload(tmp_path: Path) -> None:
    with own_configuration(tmp_path) as (server, file):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            file.write_text(file.read_text() + f"bind = '127.0.0.1:{taken}'\n")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for(lambda line: f"127.0.0.1:{taken}: another server listens" in line)
            assert server.ready()["streams"]["limit"] == 4
        port = free_port()
        file.write_text(file.read_text() + f"bind = '127.0.0.1:{port}'\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda line: f" ready at http://127.0.0.1:{port}: " in line)
        server.url = f"http://127.0.0.1:{port}"
        assert server.ready()["streams"]["limit"] == 4


def test_a_socket_that_is_not_listened_on_any_more_is_removed(tmp_path: Path) -> None:
    with Reloading(tmp_path, SERVE) as server:
        server.wait_ready()
        for name in ("first", "second"):
            server.reload(f'host = "unix:{tmp_path}/{name}.sock"\n')
            server.wait_for(
                lambda line, name=name: f" ready at unix:{tmp_path}/{name}.sock" in line
            )
            with closing(UnixConnection(tmp_path / f"{name}.sock")) as connection:
                connection.request("GET", "/ready")
                assert connection.getresponse().status == 200
        assert server.stop() == 0
    assert list(tmp_path.iterdir()) == [server.file]


def test_the_format_of_the_log_changes_with_a_reload(tmp_path: Path) -> None:
    with Reloading(tmp_path, SERVE) as server:
        server.wait_ready()
        server.reload('log_format = "json"\n')
        line = server.wait_for(lambda line: '"message": "ready at http' in line)
        assert json.loads(line)["level"] == "info"
        server.wait_for(lambda line: '"logger": "gunicorn.error"' in line)
