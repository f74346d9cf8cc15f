"""Where commands write to, and what they leave untouched."""

from __future__ import annotations

import errno
import os
import pty
import resource
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest
import soundfile
from click.testing import CliRunner, Result

from tests.support import TONE_PLUGINS
from voxcpm_openai.cli import main
from voxcpm_openai.cli.output import check, opened

NO_FOLDER = "/proc/self/fdinfo"
"""In this folder nobody can create a file, not even root."""

Command = Callable[[str], list[str]]

COMMANDS: dict[str, Command] = {
    "speak": lambda output: ["speak", "Hello.", "--format", "wav", "-o", output],
    "preview": lambda output: ["voices", "preview", "sine", "-o", output],
    "bench": lambda output: ["bench", "http://127.0.0.1:9", "-o", output],
}


def invoke(*arguments: str) -> Result:
    """Run a command in this process, with the tone engine."""
    environ = {"VOXCPM_ENGINE": "tone", "VOXCPM_PLUGINS_DIR": str(TONE_PLUGINS)}
    return CliRunner().invoke(main, arguments, env=environ)


def speak(output: str | Path, *more: str) -> Result:
    return invoke("speak", "Hello.", "-o", str(output), *more)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when an engine is started or a server is measured."""

    def never(*_: object) -> None:
        raise AssertionError("too late")

    monkeypatch.setattr("voxcpm_openai.lifecycle.EngineLifecycle.run", never)
    monkeypatch.setattr(sys.modules["voxcpm_openai.cli.bench"], "run", never)


@pytest.fixture
def terminal() -> Iterator[str]:
    """The path of a terminal."""
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file of this process grow beyond a few bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "empty"),
        (".", "is a folder"),
        ("old.wav/", "Not a directory"),
        ("old.wav/new.wav", "Not a directory"),
        ("new.wav/", "not a file's name"),
        ("no/such/new.wav", "no folder no/such"),
        ("loop.wav", "Too many levels of symbolic links"),
        ("socket.wav", "is a socket"),
        (f"{'x' * 256}.wav", "File name too long"),
        (f"{NO_FOLDER}/new.wav", "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_reported_before_the_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    output: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.wav").write_bytes(b"old")
    Path("loop.wav").symlink_to("loop.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.wav")
    before = sorted(tmp_path.iterdir())
    result = invoke(*COMMANDS[command](output))
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert sorted(tmp_path.iterdir()) == before
    assert Path("old.wav").read_bytes() == b"old"


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("command", ["speak", "preview"])
def test_audio_is_never_written_to_a_terminal(command: str, terminal: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(terminal)
    for output in (terminal, str(tmp_path / "link")):
        result = invoke(*COMMANDS[command](output))
        assert result.exit_code == 2
        assert "is a terminal, and audio is binary: name a file" in " ".join(result.output.split())


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("command", ["speak", "preview"])
def test_audio_is_not_written_to_standard_output_if_that_is_a_terminal(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    result = invoke(*COMMANDS[command]("-"))
    assert result.exit_code == 2
    assert "standard output is a terminal" in " ".join(result.output.split())
    assert "-o" in invoke("speak", "Hello.").output  # none is named: the option that is missing


def test_text_may_be_written_to_a_terminal(terminal: str) -> None:
    check(terminal, binary=False)


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_a_device_is_written_to_and_stays_a_device(tmp_path: Path, ending: str) -> None:
    link = tmp_path / f"null.{ending}"
    link.symlink_to("/dev/null")
    before = Path("/dev/null").stat()
    result = speak(link)
    assert result.exit_code == 0, result.output
    assert link.readlink() == Path("/dev/null")
    after = Path("/dev/null").stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert list(tmp_path.iterdir()) == [link]


@pytest.mark.parametrize(
    "arguments",
    [
        ("speak", "Hello.", "--format", "wav", "-o"),
        ("speak", "Hello.", "--format", "mp3", "-o"),
        ("voices", "preview", "sine", "-o"),
    ],
)
def test_the_reader_of_a_pipe_gets_the_audio(
    tmp_path: Path, pool: ThreadPoolExecutor, arguments: tuple[str, ...]
) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reading = pool.submit(fifo.read_bytes)
    result = invoke(*arguments, str(fifo))
    assert result.exit_code == 0, result.output
    assert len(reading.result(10)) > 1000
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert list(tmp_path.iterdir()) == [fifo]


def test_a_reader_that_leaves_is_an_error(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reading = pool.submit(lambda: os.close(os.open(fifo, os.O_RDONLY)))
    with opened(str(fifo)) as output:
        reading.result(10)
        with pytest.raises(click.ClickException, match="its reader has left"):
            output.write(b"audio")


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target.wav", tmp_path / "link.wav"
    link.symlink_to("there/target.wav")
    if exists:
        target.write_bytes(b"old")
    assert speak(link).exit_code == 0
    assert link.readlink() == Path("there/target.wav")
    assert soundfile.info(target).frames > 0
    assert sorted(tmp_path.rglob("*")) == [link, target.parent, target]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "hello.wav"
    path.write_bytes(b"old")
    path.chmod(mode)
    with path.open("rb") as old:
        assert speak(path).exit_code == 0
        assert old.read() == b"old"  # a new file has its name
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert soundfile.info(path).frames > 0


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        assert speak(tmp_path / "hello.wav").exit_code == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "hello.wav").stat().st_mode) == 0o640


def test_a_file_that_must_not_be_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hello.wav"
    path.write_bytes(b"old")
    system_open = os.open

    def refusing(name: str | Path, flags: int, mode: int = 0o777) -> int:  # also for root
        if Path(name) == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return system_open(name, flags, mode)

    monkeypatch.setattr("os.open", refusing)
    with pytest.raises(click.ClickException, match="Permission denied"):
        check(str(path))
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, small_files: None, ending: str
) -> None:
    path = tmp_path / f"hello.{ending}"
    path.write_bytes(b"old")
    result = speak(path)
    assert result.exit_code == 1
    assert f"{path} cannot be written: File too large" in result.output
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_device_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--format", "wav"), ("--format", "mp3")):
        result = speak("/dev/full", *arguments)
        assert result.exit_code == 1
        assert "/dev/full cannot be written: No space left on device" in result.output
    assert capfd.readouterr().err == ""


def test_an_interruption_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with opened(str(path)) as output:
            output.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
