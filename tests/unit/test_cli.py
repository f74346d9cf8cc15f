"""``voxcpm-openai speak``, ``models``, ``check`` and ``serve``, run as commands."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import av
import pytest
import soundfile

from tests.support.command import output_of, run

TEXT = "Hello there, this is a test."

KEYED_PLUGIN = """
from voxcpm_openai import TranscriberSpec, hookimpl, plugin_settings, setting

@plugin_settings("cloud")
class CloudSettings:
    key: str = setting("none", "The key of the service.")

@hookimpl
def register_transcribers():
    never = lambda settings: "no"
    return [TranscriberSpec("cloud", dict, never, settings=CloudSettings)]
"""


@pytest.mark.parametrize("ending", ["mp3", "opus", "aac", "flac", "wav"])
def test_speak_chooses_the_format_by_the_file_extension(tmp_path: Path, ending: str) -> None:
    result = run("speak", TEXT, "-o", f"hello.{ending}", cwd=tmp_path)
    assert result.returncode == 0, output_of(result)
    with av.open(tmp_path / f"hello.{ending}") as container:
        frames = list(container.decode(audio=0))
    assert sum(frame.samples / frame.sample_rate for frame in frames) > 1.0
    assert [path.name for path in tmp_path.iterdir()] == [f"hello.{ending}"]


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_file_on_disk_states_its_length(tmp_path: Path, ending: str) -> None:
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
    assert result.returncode == 0, output_of(result)
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
        assert result.returncode == 0, output_of(result)
    assert soundfile.info(slow).duration > 3 * soundfile.info(fast).duration


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_errors_are_messages_without_a_traceback_and_leave_no_file(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode != 0
    assert message in output_of(result)
    assert "Traceback" not in output_of(result)
    assert list(tmp_path.iterdir()) == []


def test_voices_lists_the_stock_voices() -> None:
    lines = run("voices").stdout.decode().splitlines()
    assert len(lines) == 15
    assert lines[0].split()[0] == "alloy"
    assert "hibari" in lines[0]


def test_models_lists_each_id_with_its_engine() -> None:
    lines = run("models").stdout.decode().splitlines()
    assert {line.split()[0] for line in lines} >= {
        "tts-1",
        "tts-1-hd",
        "gpt-4o-mini-tts",
        "embedded",
        "hibari",
    }
    assert "inference_steps=5" in next(line for line in lines if line.startswith("tts-1 "))


def test_check_shows_each_setting_and_its_origin() -> None:
    result = run("check", port="9000", api_keys="secret,another", model="/nowhere")
    text = output_of(result)
    assert result.returncode == 0
    assert "9000  [VOXCPM_PORT]" in text
    assert "2 keys  [VOXCPM_API_KEYS]" in text
    assert "secret" not in text
    assert "127.0.0.1  [default]" in text
    assert "plugin embedded_engine (stock)" in text
    assert "engine embedded: can run here" in text
    # Either the packages or the weights are missing.
    assert re.search(r"chosen: engine embedded \(voxcpm: .*(pip install|no such folder)", text)
    assert text.endswith("the server can start\n")


def test_check_shows_the_settings_of_plugins_and_how_to_install_engines() -> None:
    text = output_of(run("check", model="/nowhere"))
    assert re.search(r"^model +/nowhere +\[VOXCPM_MODEL\]$", text, re.MULTILINE)
    assert re.search(r"^transcriber\.model +Systran/faster-whisper-small ", text, re.MULTILINE)
    assert re.search(r"^  .*VOXCPM_MODEL=openbmb/VoxCPM2, in many languages", text, re.MULTILINE)


def test_check_never_shows_a_plugins_key(tmp_path: Path) -> None:
    (tmp_path / "cloud.py").write_text(KEYED_PLUGIN)
    text = output_of(run("check", plugins_dir=str(tmp_path), cloud_key="secret"))
    assert re.search(r"^cloud\.key +\*\*\* +\[VOXCPM_CLOUD_KEY\]$", text, re.MULTILINE)
    assert "secret" not in text


def test_check_reports_every_problem_and_fails(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("import no_such_package")
    result = run("check", port="x", plugins_dir=str(tmp_path))
    assert result.returncode == 1
    assert "wrong: VOXCPM_PORT = 'x'" in output_of(result)
    assert "wrong: plugin 'odd'" in output_of(result)


def test_check_reports_a_wrong_entry_of_the_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "names.toml"
    path.write_text('[alias]\nNguyen = ""\n')
    result = run("check", lexicon=str(path))
    assert result.returncode == 1
    assert "[alias] 'Nguyen': 'alias' must have 1 to 200 characters" in output_of(result)


def test_check_shows_everything_although_settings_of_plugins_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "voxcpm.toml"
    file.write_text("prot = 1\n[transcriber]\nmodell = 'x'\n")
    result = run("check", config=str(file), dtype="float99", default_voice="nobody", port="x")
    text = output_of(result)
    assert result.returncode == 1
    assert "(wrong)  [VOXCPM_DTYPE]" in text
    assert "engine embedded: can run here" in text
    assert "chosen: engine embedded" in text
    for problem in ("VOXCPM_PORT", "VOXCPM_DTYPE", "prot = 1", "transcriber.modell", "nobody"):
        assert len(re.findall(rf"^wrong: .*{problem}", text, re.MULTILINE)) == 1, problem


def test_serve_reports_a_wrong_setting_in_one_line() -> None:
    result = run("serve", port="x")
    assert result.returncode == 1
    assert output_of(result).startswith("Error: VOXCPM_PORT = 'x': Not a valid integer.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--host", ""), "'--host': It is empty."),
        (("--host", "a host"), "VOXCPM_HOST = 'a host'"),
        (("--port", "0"), "1<=x<=65535"),
    ],
)
def test_serve_refuses_a_wrong_option(arguments: tuple[str, ...], message: str) -> None:
    result = run("serve", *arguments)
    assert result.returncode != 0
    assert message in output_of(result)
