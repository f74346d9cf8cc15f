"""Commands as processes: their standard output, and what is left when one is terminated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import TONE_PLUGINS


@pytest.mark.parametrize("arguments", [("speak", "Hello.", "-o", "-"), ("voices",), ("check",)])
def test_a_full_standard_output_is_an_error_without_a_traceback(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "voxcpm_openai", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    last = result.stderr.decode().splitlines()[-1]
    assert last == "Error: standard output cannot be written: No space left on device"
    assert b"Traceback" not in result.stderr
    assert b"ignored" not in result.stderr


def test_standard_output_is_not_replaced_where_it_has_a_name(tmp_path: Path) -> None:
    path = tmp_path / "hello.mp3"
    with path.open("ab") as file:
        file.write(b"before")
        file.flush()
        subprocess.run(
            [sys.executable, "-m", "voxcpm_openai", "speak", "Hello.", "-o", "/dev/stdout"],
            stdout=file,
            timeout=60,
            check=True,
        )
    assert path.read_bytes().startswith(b"before")
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


def test_a_command_that_is_terminated_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    path.write_bytes(b"old")

    def written() -> bool:
        with suppress(FileNotFoundError):  # the check has a file of its own
            return any(one.stat().st_size for one in tmp_path.glob(".*.part"))
        return False

    environ = {**os.environ, "VOXCPM_ENGINE": "tone", "VOXCPM_PLUGINS_DIR": str(TONE_PLUGINS)}
    process = subprocess.Popen(
        [sys.executable, "-m", "voxcpm_openai", "speak", "hang-late", "-o", str(path)],
        env=environ,
        stderr=subprocess.PIPE,
    )
    try:
        while not written():
            assert process.poll() is None
        process.terminate()
        assert process.communicate(timeout=30)[1] == b""
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + signal.SIGTERM
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
