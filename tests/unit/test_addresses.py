"""The addresses of a server: what a host setting may be, and where a server cannot listen."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from gunicorn.util import parse_address

from voxcpm_openai.addresses import Listener, address_of, bind_of, is_loopback, problem_of, shown
from voxcpm_openai.errors import SettingsError
from voxcpm_openai.settings import load_settings

ADDRESSES = {
    "127.0.0.1": ("127.0.0.1", 80),
    "0.0.0.0": ("0.0.0.0", 80),
    "speech.example": ("speech.example", 80),
    "::1": ("::1", 80),
    "::": ("::", 80),
    "[::1]": ("::1", 80),
    "2001:db8::7": ("2001:db8::7", 80),
    "::ffff:127.0.0.1": ("::ffff:127.0.0.1", 80),
    "unix:/run/speech.sock": "/run/speech.sock",
    "unix:///run/speech.sock": "/run/speech.sock",
}


@pytest.mark.parametrize("host", ADDRESSES)
def test_a_host_is_an_address_and_gunicorn_understands_it(host: str) -> None:
    assert load_settings({"VOXCPM_HOST": host}).host == host
    assert address_of(host, 80) == ADDRESSES[host]
    assert parse_address(bind_of(host, 80)) == ADDRESSES[host]


@pytest.mark.parametrize(
    "host",
    [
        "a host",
        "127.0.0.1:80",
        "localhost:80",
        "http://localhost",
        "a/b",
        "unix:",
        "unix:/",
        "unix:relative.sock",
        "unix://relative.sock",
        "[speech.example]",
    ],
)
def test_another_host_is_a_wrong_setting(host: str) -> None:
    with pytest.raises(SettingsError, match=r"VOXCPM_HOST.*IPv6.*unix:/path"):
        load_settings({"VOXCPM_HOST": host})


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("127.0.0.1", 80), True),
        (("127.8.0.1", 80), True),
        (("::1", 80), True),
        (("localhost", 80), True),
        ("/run/speech.sock", True),
        (("0.0.0.0", 80), False),
        (("::", 80), False),
        (("speech.example", 80), False),
    ],
)
def test_loopback_is_what_this_machine_only_reaches(
    address: tuple[str, int] | str, expected: bool
) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_a_descriptor_is_what_it_is_bound_to(host: str, expected: bool) -> None:
    with socket.socket() as listener:
        listener.bind((host, 0))
        assert is_loopback(listener.fileno()) is expected
        assert shown(listener.fileno()) == f"descriptor {listener.fileno()}"
        assert problem_of(listener.fileno()) is None


def test_a_port_that_is_taken_is_a_problem_only_if_it_must_be_free() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = other.getsockname()
        assert problem_of(address) is None
        problem = problem_of(address, must_be_free=True)
    assert problem == (
        f"the server cannot listen on 127.0.0.1:{address[1]}: another server listens there."
    )
    assert problem_of(address, must_be_free=True) is None


def test_an_address_of_another_machine_is_a_problem() -> None:
    problem = problem_of(("192.0.2.1", 7861))  # of a network for documentation
    assert problem is not None
    assert os.strerror(errno.EADDRNOTAVAIL) in problem


def test_a_stale_socket_may_be_replaced_and_one_of_a_running_server_not(tmp_path: Path) -> None:
    path = tmp_path / "speech.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert problem_of(str(path)) is None
        problem = problem_of(str(path), must_be_free=True)
        assert problem is not None
        assert f"unix:{path}: another server listens there" in problem
    assert problem_of(str(path), must_be_free=True) is None
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file", "it is no socket, and is not replaced"),
        ("folder", "it is no socket, and is not replaced"),
        ("no/such/speech.sock", "there is no folder"),
        ("x" * 108, "the path has more than 107 bytes"),
        ("/proc/self/fdinfo/speech.sock", "No such file or directory"),  # for root, too
    ],
)
def test_no_socket_can_be_made(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "folder").mkdir()
    problem = problem_of(str(tmp_path / path))
    assert problem is not None
    assert message in problem
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("listener", "expected", "curl"),
    [
        (Listener(("127.0.0.1", 80)), "http://127.0.0.1:80", "curl http://127.0.0.1:80"),
        (Listener(("::1", 80)), "http://[::1]:80", "curl http://[::1]:80"),
        (Listener(("::1", 80), tls=True), "https://[::1]:80", "curl https://[::1]:80"),
        (Listener("/a b"), "unix:/a b", "curl --unix-socket '/a b' http://localhost"),
        (Listener("/a", tls=True), "unix:/a", "curl --unix-socket /a https://localhost"),
    ],
)
def test_a_listener_is_shown_with_a_command(listener: Listener, expected: str, curl: str) -> None:
    assert (listener.shown, listener.curl) == (expected, curl)
