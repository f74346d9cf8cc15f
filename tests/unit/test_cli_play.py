"""``speak --play``: the audio is played while it is made, by what is installed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest
import soundfile
from click.testing import CliRunner, Result

from tests.support import TONE_PLUGINS
from tests.support.audio_device import Device
from voxcpm_openai.cli import main
from voxcpm_openai.cli.player import wav_header

ENVIRON = {"VOXCPM_ENGINE": "tone", "VOXCPM_PLUGINS_DIR": str(TONE_PLUGINS)}
HALF_SECOND = 11_520
"""The samples of a segment of the tone engine."""


def player(folder: Path, name: str, script: str) -> None:
    """Put a program into a folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs; the package sounddevice is not installed."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "cat"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    return folder


def speak(*arguments: str, text: str = "Hello.") -> Result:
    return CliRunner().invoke(main, ["speak", text, *arguments], env=ENVIRON)


def test_without_a_player_the_error_says_what_to_install(programs: Path) -> None:
    for arguments in (["speak", "Hello.", "--play"], ["voices", "preview", "alloy"]):
        result = CliRunner().invoke(main, arguments, env=ENVIRON)
        assert result.exit_code == 1
        message = " ".join(result.output.split())
        for name in ("pip install 'voxcpm-openai[play]'", "ffplay", "aplay", "-o"):
            assert name in message


@pytest.mark.parametrize("name", ["aplay", "paplay"])
def test_a_program_gets_the_samples(programs: Path, tmp_path: Path, name: str) -> None:
    player(programs, name, f'echo "$@" > {tmp_path}/arguments; cat > {tmp_path}/played')
    assert speak("--play").exit_code == 0
    assert len((tmp_path / "played").read_bytes()) == 2 * HALF_SECOND
    assert "24000" in (tmp_path / "arguments").read_text()


def test_ffplay_gets_a_wav_stream(programs: Path, tmp_path: Path) -> None:
    player(programs, "ffplay", f"cat > {tmp_path}/played")
    assert speak("--play").exit_code == 0
    with av.open(io.BytesIO((tmp_path / "played").read_bytes())) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == HALF_SECOND
    assert len(wav_header(24_000)) == 44


def test_afplay_gets_a_whole_file(programs: Path, tmp_path: Path) -> None:
    player(programs, "afplay", f'cat "$1" > {tmp_path}/played.wav')
    assert speak("--play").exit_code == 0
    assert soundfile.info(tmp_path / "played.wav").frames == HALF_SECOND


def test_a_file_is_written_too(programs: Path, tmp_path: Path) -> None:
    player(programs, "aplay", f"cat > {tmp_path}/played")
    assert speak("--play", "-o", str(tmp_path / "a.wav")).exit_code == 0
    assert soundfile.info(tmp_path / "a.wav").frames == HALF_SECOND
    assert (tmp_path / "played").stat().st_size == 2 * HALF_SECOND


def test_what_a_player_says_of_its_failure_is_shown(programs: Path) -> None:
    player(programs, "aplay", "cat > /dev/null; echo no soundcards found >&2; exit 1")
    result = speak("--play")
    assert result.exit_code == 1
    message = " ".join(result.output.split())
    assert "aplay cannot play the audio: no soundcards found. Save the audio with -o" in message


def test_a_player_that_ends_early_is_an_error(programs: Path) -> None:
    player(programs, "aplay", "exit 3")
    result = speak("--play", text="Hello. " * 200)
    assert result.exit_code == 1
    assert "aplay cannot play the audio: exit status 3" in " ".join(result.output.split())


def test_it_plays_before_all_is_made_and_an_interruption_ends_the_player(
    programs: Path, tmp_path: Path
) -> None:
    played, number = tmp_path / "played", tmp_path / "number"
    player(programs, "aplay", f"echo $$ > {number}; exec cat > {played}")
    (tmp_path / "sounddevice.py").write_text("raise ImportError")
    process = subprocess.Popen(
        [sys.executable, "-m", "voxcpm_openai", "speak", "hang-late", "--play"],
        env={
            **os.environ,
            **ENVIRON,
            "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        },
        stderr=subprocess.PIPE,
    )
    try:
        while not (played.exists() and played.stat().st_size):
            assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 1
        assert b"Traceback" not in process.communicate()[1]
    finally:
        process.kill()
        process.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


def test_the_package_sounddevice_is_preferred(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player(programs, "aplay", "exit 3")
    device = Device()
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    assert speak("--play").exit_code == 0
    assert len(device.played) == 2 * HALF_SECOND
    assert device.options == {"samplerate": 24_000, "channels": 1, "dtype": "int16"}
    assert speak("--play", text="fail-late").exit_code == 1
    assert device.calls == ["stop", "abort", "stop"]


def test_a_device_that_is_missing_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Device("No Default Output Device Available"))
    result = speak("--play")
    assert result.exit_code == 1
    assert "No Default Output Device Available" in result.output
    assert "-o" in result.output
