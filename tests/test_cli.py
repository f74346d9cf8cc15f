"""The command line, as a user types it."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import av
import pytest
import soundfile

TEXT = "Hello there, this is a test."


def run(
    *arguments: str, stdin: bytes = b"", cwd: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[bytes]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("VOXCPM_")}
    variables = {f"VOXCPM_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "voxcpm_openai", *arguments],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**clean, **variables},
        timeout=60,
        check=False,
    )


def told(result: subprocess.CompletedProcess[bytes]) -> str:
    return (result.stdout + result.stderr).decode()


@pytest.mark.parametrize("ending", ["mp3", "opus", "aac", "flac", "wav"])
def test_speak_takes_the_format_from_the_files_ending(tmp_path: Path, ending: str) -> None:
    result = run("speak", TEXT, "-o", f"hello.{ending}", cwd=tmp_path)
    assert result.returncode == 0, told(result)
    with av.open(tmp_path / f"hello.{ending}") as container:
        frames = list(container.decode(audio=0))
    assert sum(frame.samples / frame.sample_rate for frame in frames) > 1.0
    assert [path.name for path in tmp_path.iterdir()] == [f"hello.{ending}"]


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_file_on_disk_knows_its_length(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"hello.{ending}"
    assert run("speak", TEXT, "-o", str(path)).returncode == 0
    info = soundfile.info(path)
    assert 1.0 < info.duration < 4.0
    assert (info.samplerate, info.channels, info.subtype) == (24_000, 1, "PCM_16")
    if ending == "wav":
        data = path.read_bytes()
        assert struct.unpack("<I", data[4:8]) == (len(data) - 8,)


def test_speak_reads_stdin_and_writes_stdout() -> None:
    result = run("speak", "-", "-o", "-", "--format", "wav", stdin=TEXT.encode())
    assert result.returncode == 0, told(result)
    assert result.stdout.startswith(b"RIFF\xff\xff\xff\xff")
    with av.open(io.BytesIO(result.stdout)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 24_000


def test_speak_takes_voice_model_and_speed(tmp_path: Path) -> None:
    slow, fast = tmp_path / "slow.wav", tmp_path / "fast.wav"
    for path, speed in ((slow, "0.5"), (fast, "2")):
        result = run(
            "speak", TEXT, "-o", str(path),
            "--voice", "echo", "--model", "tts-1-hd", "--speed", speed,
        )  # fmt: skip
        assert result.returncode == 0, told(result)
    assert soundfile.info(slow).duration > 3 * soundfile.info(fast).duration


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("speak", TEXT, "-o", "a.mp3", "--voice", "nobody"), "'nobody' does not exist. There are"),
        (("speak", TEXT, "-o", "a.mp3", "--model", "nobody"), "'nobody' does not exist. There are"),
        (("speak", TEXT, "-o", "a.xyz"), "'.xyz' is not a format; there are mp3"),
        (("speak", "Привет", "-o", "a.mp3"), "Cyrillic"),
        (("speak", TEXT, "-o", "no/such/folder/a.mp3"), "cannot be written"),
        (("speak", TEXT, "-o", "no/such/folder/a.wav"), "cannot be written"),
        (("speak", TEXT, "-o", "a.mp3", "--speed", "9"), "0.25<=x<=4.0"),
        (("nonsense",), "No such command"),
    ],
)
def test_a_mistake_is_told_without_a_trace_and_leaves_no_file(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode != 0
    assert says in told(result)
    assert "Traceback" not in told(result)
    assert list(tmp_path.iterdir()) == []


def test_voices_lists_the_fifteen() -> None:
    lines = run("voices").stdout.decode().splitlines()
    assert len(lines) == 15
    assert lines[0].split()[0] == "alloy"
    assert "hibari" in lines[0]


def test_models_lists_each_id_with_its_engine() -> None:
    lines = run("models").stdout.decode().splitlines()
    assert {line.split()[0] for line in lines} >= {"tts-1", "tts-1-hd", "gpt-4o-mini-tts", "hibari"}
    assert "inference_steps=5" in next(line for line in lines if line.startswith("tts-1 "))


def test_check_shows_each_setting_and_where_it_came_from() -> None:
    result = run("check", port="9000", api_keys="secret,another", model="/nowhere")
    text = told(result)
    assert result.returncode == 0
    assert "9000  [VOXCPM_PORT]" in text
    assert "2 keys  [VOXCPM_API_KEYS]" in text
    assert "secret" not in text
    assert "127.0.0.1  [default]" in text
    assert "plugin hibari_engine (stock)" in text
    assert "engine hibari: can run here" in text
    # Either the packages are missing, or the weights are: both are said, with what to do.
    assert re.search(r"chosen: engine hibari \(voxcpm: .*(pip install|no such folder)", text)
    assert "VOXCPM_MODEL=openbmb/VoxCPM2) is the better choice for other languages" in text
    assert text.endswith("all is well\n")


def test_check_does_not_praise_voxcpm2_where_it_is_set() -> None:
    assert "better choice" not in told(run("check", model="openbmb/VoxCPM2"))


def test_check_tells_every_fault_and_fails(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("import no_such_package")
    result = run("check", port="x", plugins_dir=str(tmp_path))
    assert result.returncode == 1
    assert "wrong: VOXCPM_PORT = 'x'" in told(result)
    assert "wrong: plugin 'odd'" in told(result)


def test_a_wrong_setting_stops_serve_with_one_line() -> None:
    result = run("serve", port="x")
    assert result.returncode == 1
    assert told(result).startswith("Error: VOXCPM_PORT = 'x': Not a valid integer.")
