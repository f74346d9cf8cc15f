"""``voxcpm-openai init``: the files of a server, from four answers."""

from __future__ import annotations

import re
import shlex
import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.terminal import answered
from tests.support.tools import run
from voxcpm_openai.accounts.keyring import Keyring
from voxcpm_openai.cli import main
from voxcpm_openai.cli.templates import unit
from voxcpm_openai.settings import Settings, load_settings


def init(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["init", str(folder), *options])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_without_a_terminal_and_options_there_are_defaults(tmp_path: Path) -> None:
    result = init(tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert names(tmp_path / "new") == ["voxcpm.toml"]
    settings = load_settings({"VOXCPM_CONFIG": str(tmp_path / "new" / "voxcpm.toml")})
    assert (settings.engine, settings.host, settings.port) == ("auto", "127.0.0.1", 7861)
    assert "voxcpm-openai serve" in result.stderr


def test_a_server_of_a_network_has_a_key_that_opens_it(tmp_path: Path) -> None:
    folder = tmp_path / 'a "folder"'
    result = init(folder, "--access", "network", "--port", "9000", "--engine", "embedded")
    settings = load_settings({"VOXCPM_CONFIG": str(folder / "voxcpm.toml")})
    assert (settings.host, settings.port, settings.engine) == ("0.0.0.0", 9000, "embedded")
    assert settings.api_keys_file == folder / "keys.toml"
    assert stat.S_IMODE((folder / "keys.toml").stat().st_mode) == 0o600
    found = re.search(r"not shown again: (\S+)", result.stderr)
    assert found is not None
    assert Keyring(settings).find(found[1].encode()) is not None
    assert found[1] not in result.stdout


@pytest.mark.parametrize("access", ["local", "network"])
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path, access: str) -> None:
    assert init(tmp_path, "--service", "systemd", "--access", access).exit_code == 0
    assert names(tmp_path) == ["keys.toml", "voxcpm-openai.service", "voxcpm.toml"]
    written = tmp_path / "voxcpm-openai.service"
    text = written.read_text()
    assert "LoadCredential=voxcpm.toml:/etc/voxcpm-openai/voxcpm.toml" in text
    assert "Environment=VOXCPM_CONFIG=%d/voxcpm.toml" in text
    program = re.search(r"^ExecStart=(\S+) serve$", text, re.MULTILINE)
    assert program is not None
    assert Path(program[1]).name == "voxcpm-openai"
    written.write_text(text.replace(program[1], "/bin/true"))
    result = run("systemd-analyze", "verify", "--man=no", written)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "name", ["a b", "q'\"x", "100%", "üñ😀", "$HOME `id`", "nl\nx", "\x7f\t\\"]
)
def test_every_name_of_a_folder_is_written_so_that_it_is_read_back(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    result = init(folder, "--access", "network")
    settings = load_settings({"VOXCPM_CONFIG": str(folder / "voxcpm.toml")})
    assert settings.api_keys_file == folder / "keys.toml"
    if name.isprintable():
        command = shlex.split(result.stderr.splitlines()[-1])
        assert command[0] == f"VOXCPM_CONFIG={folder / 'voxcpm.toml'}"
        steps = shlex.split(init(folder / "unit", "--service", "systemd").stderr)
        assert steps[steps.index("cd") + 1] == str(folder / "unit")


def test_a_folder_whose_name_is_no_text_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "bad\udcff"
    result = init(folder, "--access", "network")
    assert (result.exit_code, folder.exists()) == (1, False)
    assert "is not UTF-8" in result.stderr


@pytest.mark.parametrize("name", ["a b", "100%", "%h", "$HOME", "a;b", "üñ"])
def test_the_unit_names_a_program_in_any_folder(tmp_path: Path, name: str) -> None:
    program = tmp_path / name / "voxcpm-openai"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    written = tmp_path / "voxcpm-openai.service"
    written.write_text(unit(str(program), "/etc/voxcpm-openai"))
    result = run("systemd-analyze", "verify", "--man=no", written)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("inside", [True, False])
def test_a_program_in_the_home_of_the_user_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    """The unit cannot read a home."""
    program = Path(sys.executable)
    monkeypatch.setenv("HOME", str(program.parents[2] if inside else tmp_path))
    result = init(tmp_path, "--service", "systemd")
    assert ("The unit cannot read" in result.output) is inside


@pytest.mark.parametrize(
    ("engine", "access", "service"),
    [("auto", "local", "speech-cpu"), ("voxcpm", "network", "speech-gpu")],
)
def test_docker_compose_takes_its_file(
    tmp_path: Path, engine: str, access: str, service: str
) -> None:
    init(tmp_path, "--service", "compose", "--engine", engine, "--access", access)
    expected = [".env", "compose.yaml", "keys.toml", "nginx.conf", "voxcpm.toml"]
    assert names(tmp_path) == expected
    address = "127.0.0.1:7861" if access == "local" else "0.0.0.0:7861"
    assert f"SPEECH_PORT={address}\n" in (tmp_path / ".env").read_text()
    text = (tmp_path / "compose.yaml").read_text()
    assert "build:" not in text
    assert "VOXCPM_CONFIG: /run/secrets/voxcpm.toml" in text
    load_settings({"VOXCPM_CONFIG": str(tmp_path / "voxcpm.toml")})
    result = run("docker-compose", "config", "--services", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert service in result.stdout.split()


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("mine")
    result = init(tmp_path, "--access", "network")
    assert result.exit_code == 1
    assert "keys.toml" in result.output
    assert "--force" in result.output
    assert names(tmp_path) == ["keys.toml"]
    assert (tmp_path / "keys.toml").read_text() == "mine"
    assert init(tmp_path, "--access", "network", "--force").exit_code == 0
    assert (tmp_path / "keys.toml").read_text() != "mine"


def test_on_a_terminal_it_asks_four_questions(tmp_path: Path) -> None:
    screen = answered("init", str(tmp_path), answers="embedded\nnetwork\n9000\nnone\n", columns=80)
    assert screen.status == 0, screen.text
    assert screen.text.count("?") == 4
    settings = load_settings({"VOXCPM_CONFIG": str(tmp_path / "voxcpm.toml")})
    assert (settings.engine, settings.port, settings.keyed) == ("embedded", 9000, True)


def test_an_answer_by_an_option_is_not_asked_for(tmp_path: Path) -> None:
    options = ("--engine", "auto", "--access", "local", "--port", "7861")
    screen = answered("init", str(tmp_path), *options, answers="\n", columns=80)
    assert screen.text.count("?") == 1
    assert Settings().port == 7861
    assert names(tmp_path) == ["voxcpm.toml"]
