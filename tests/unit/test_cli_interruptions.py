"""A long speech that is interrupted goes on where it stopped, and becomes the same file."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner, Result

from tests.support import TONE_PLUGINS
from tests.support.audio_device import Device
from voxcpm_openai.audio import duration
from voxcpm_openai.cli import main
from voxcpm_openai.cli.narration import parts_of

FILLER = "One sentence of this book, which is not very long. " * 21
BOOK = f"The book begins.\n\n{FILLER}\n\n{FILLER}\n\nThis is paced. {FILLER}\n\n{FILLER}"
PARTS = len(parts_of(BOOK))
PACED = 3
"""The index of the part that waits for the file that paces it."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "pace").write_bytes(b".")
    (tmp_path / "book.txt").write_text(BOOK)
    return {
        "VOXCPM_ENGINE": "tone",
        "VOXCPM_PLUGINS_DIR": str(TONE_PLUGINS),
        "VOXCPM_TONE_PACE": str(tmp_path / "pace"),
    }


def pace_all(tmp_path: Path) -> None:
    """Let the paced part be made."""
    (tmp_path / "pace").write_bytes(bytes(100))


def command(tmp_path: Path, name: str = "book.mp3", *more: str) -> list[str]:
    return ["speak", "-f", str(tmp_path / "book.txt"), "-o", str(tmp_path / name), *more]


def speak(tmp_path: Path, environ: dict[str, str], name: str = "book.mp3", *more: str) -> Result:
    return CliRunner().invoke(main, command(tmp_path, name, *more), env=environ)


def interrupt(
    tmp_path: Path, environ: dict[str, str], number: signal.Signals, name: str = "book.mp3"
) -> tuple[int, str]:
    """Send a signal to a process when it is in the paced part; return its status and its words."""
    partial = tmp_path / f"{name}.parts" / f"{PACED:06}.tmp"
    process = subprocess.Popen(
        [sys.executable, "-m", "voxcpm_openai", *command(tmp_path, name)],
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (partial.exists() and partial.stat().st_size):
            assert process.poll() is None, process.communicate()[1]
        process.send_signal(number)
        return process.wait(timeout=30), process.communicate()[1]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def uninterrupted(tmp_path: Path, environ: dict[str, str]) -> Iterator[bytes]:
    """The file that is made at once, in a folder of its own."""
    (tmp_path / "other").mkdir()
    pace = tmp_path / "pace"
    pace.write_bytes(bytes(100))
    result = speak(tmp_path, environ, "other/book.mp3")
    assert result.exit_code == 0, result.output
    pace.write_bytes(b".")
    return (tmp_path / "other" / "book.mp3").read_bytes()


def parts(tmp_path: Path, name: str = "book.mp3") -> list[str]:
    return sorted(path.name for path in (tmp_path / f"{name}.parts").glob("*.pcm"))


def test_the_book_has_enough_parts() -> None:
    assert PARTS > PACED + 1
    assert "paced" in parts_of(BOOK)[PACED].text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_same_command_goes_on_and_makes_the_same_file(
    tmp_path: Path, environ: dict[str, str], uninterrupted: bytes, number: signal.Signals
) -> None:
    (tmp_path / "book.mp3").write_bytes(b"old")
    status, words = interrupt(tmp_path, environ, number)
    kept = f"{PACED} of {PARTS} parts are kept in {tmp_path}/book.mp3.parts: run the same command"
    assert (kept in words) is (number != signal.SIGKILL)
    assert "Traceback" not in words
    assert status != 0
    before = parts(tmp_path)
    assert len(before) == PACED
    assert (tmp_path / "book.mp3").read_bytes() == b"old"

    pace_all(tmp_path)
    result = speak(tmp_path, environ)
    assert result.exit_code == 0, result.output
    assert f"going on: {PACED} of {PARTS} parts are in" in result.stderr
    assert "To start over, delete that folder." in result.stderr
    assert (tmp_path / "book.mp3").read_bytes() == uninterrupted
    assert not (tmp_path / "book.mp3.parts").exists()


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ("voice", ("--voice", "sine")),
        ("speed", ("--speed", "2")),
        ("model", ("--model", "tts-1-hd")),
        ("seed", ("--seed", "7")),
        ("format", ("--format", "opus")),
    ],
)
def test_a_change_starts_anew_and_says_so(
    tmp_path: Path, environ: dict[str, str], changed: str, more: tuple[str, ...]
) -> None:
    interrupt(tmp_path, environ, signal.SIGKILL)
    pace_all(tmp_path)
    result = speak(tmp_path, environ, "book.mp3", *more)
    assert result.exit_code == 0, result.output
    assert f"starting anew: the parts in {tmp_path}/book.mp3.parts were made with" in result.stderr
    assert result.stderr.strip().endswith(f"another {changed}.")


def test_another_text_starts_anew(tmp_path: Path, environ: dict[str, str]) -> None:
    interrupt(tmp_path, environ, signal.SIGKILL)
    (tmp_path / "book.txt").write_text(BOOK.replace("begins", "starts"))
    assert speak(tmp_path, environ, "book.mp3", "--voice", "nobody").exit_code == 1
    assert len(parts(tmp_path)) == PACED  # a wrong command deletes nothing
    pace_all(tmp_path)
    result = speak(tmp_path, environ)
    assert "another text." in result.stderr
    assert result.exit_code == 0


def test_another_lexicon_starts_anew(tmp_path: Path, environ: dict[str, str]) -> None:
    interrupt(tmp_path, environ, signal.SIGKILL)
    (tmp_path / "lexicon.toml").write_text('[alias]\nsentence = "phrase"\n')
    pace_all(tmp_path)
    result = speak(tmp_path, {**environ, "VOXCPM_LEXICON": str(tmp_path / "lexicon.toml")})
    assert "another settings." in result.stderr
    assert result.exit_code == 0


def test_a_part_that_a_power_cut_has_damaged_is_made_again(
    tmp_path: Path, environ: dict[str, str], uninterrupted: bytes
) -> None:
    interrupt(tmp_path, environ, signal.SIGKILL)
    first, second, _ = parts(tmp_path)
    folder = tmp_path / "book.mp3.parts"
    with (folder / first).open("r+b") as file:
        file.truncate(1000)
    with (folder / second).open("r+b") as file:
        file.write(bytes(100))
    pace_all(tmp_path)
    result = speak(tmp_path, environ)
    assert f"going on: 1 of {PARTS} parts" in result.stderr
    assert (tmp_path / "book.mp3").read_bytes() == uninterrupted


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"facts": 3}'])
def test_a_state_that_is_damaged_starts_anew(
    tmp_path: Path, environ: dict[str, str], uninterrupted: bytes, content: bytes
) -> None:
    interrupt(tmp_path, environ, signal.SIGKILL)
    (tmp_path / "book.mp3.parts" / "state.json").write_bytes(content)
    pace_all(tmp_path)
    assert "starting anew" in speak(tmp_path, environ).stderr
    assert (tmp_path / "book.mp3").read_bytes() == uninterrupted


@pytest.mark.parametrize(
    ("name", "limit", "kept"), [("book.wav", 100_000, 1), ("book.wav", 2_000_000, PARTS)]
)
def test_a_full_disk_keeps_what_is_finished(
    tmp_path: Path, environ: dict[str, str], name: str, limit: int, kept: int
) -> None:
    """Of a part, and of the file that is written at the end."""
    pace_all(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        result = speak(tmp_path, environ, name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 1
    assert "cannot be written: File too large" in result.output
    assert f"{kept} of {PARTS} parts are kept in" in result.output
    assert len(parts(tmp_path, name)) == kept
    assert not (tmp_path / name).exists()
    result = speak(tmp_path, environ, name)
    assert (result.exit_code, result.output.count("going on")) == (0, 1)
    assert soundfile.info(tmp_path / name).duration > 40
    assert not (tmp_path / f"{name}.parts").exists()


def test_two_processes_do_not_make_the_same_file(tmp_path: Path, environ: dict[str, str]) -> None:
    partial = tmp_path / "book.mp3.parts" / f"{PACED:06}.tmp"
    with subprocess.Popen(
        [sys.executable, "-m", "voxcpm_openai", *command(tmp_path)],
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
    ) as process:
        while not partial.exists():
            assert process.poll() is None
        result = speak(tmp_path, environ)
        pace_all(tmp_path)
        assert process.wait(timeout=30) == 0
    assert result.exit_code == 1
    assert "another process is making this file" in result.output
    assert (tmp_path / "book.mp3").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = tmp_path / "book.mp3.parts"
    folder.mkdir()
    (folder / "diary.txt").write_text("mine")
    result = speak(tmp_path, environ)
    assert result.exit_code == 1
    assert "has files that are not ours, such as diary.txt" in result.output
    assert [path.name for path in folder.iterdir()] == ["diary.txt"]


def test_a_run_that_goes_on_plays_what_it_makes(
    tmp_path: Path,
    environ: dict[str, str],
    uninterrupted: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt(tmp_path, environ, signal.SIGKILL)
    pace_all(tmp_path)
    device = Device()
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    assert speak(tmp_path, environ, "book.mp3", "--play").exit_code == 0
    assert (tmp_path / "book.mp3").read_bytes() == uninterrupted
    assert 0 < len(device.played) / 48_000 < 40 < duration(uninterrupted)


def test_a_book_into_a_pipe_keeps_no_parts(tmp_path: Path, environ: dict[str, str]) -> None:
    pace_all(tmp_path)
    process = subprocess.run(
        [sys.executable, "-m", "voxcpm_openai", *command(tmp_path)[:-1], "-"],
        env={**os.environ, **environ},
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert len(process.stdout) > 100_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.txt", "pace"]
