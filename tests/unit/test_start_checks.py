"""What stops a start: ``check`` reports exactly what ``serve`` refuses."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.gunicorn_config import config
from voxcpm_openai.cli import main
from voxcpm_openai.errors import StartError
from voxcpm_openai.settings import Settings
from voxcpm_openai.start_checks import check_open, examine

NO_FOLDER = "/proc/self/fdinfo"
"""In this folder nobody can create a file, not even root."""

REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "open": ({"host": "0.0.0.0"}, "listening on 0.0.0.0 would admit anyone"),
    "open IPv6": ({"host": "::"}, "listening on :: would admit anyone"),
    "foreign": ({"host": "192.0.2.1", "allow_open": "1"}, "cannot listen on 192.0.2.1:7861"),
    "no folder": ({"host": "unix:/no/such.sock"}, "unix:/no/such.sock: there is no folder /no"),
    "no socket": ({"host": "unix:{file}"}, "it is no socket, and is not replaced"),
    "data": ({"data_dir": f"{NO_FOLDER}/data"}, "VOXCPM_DATA_DIR = '/proc/"),
    "long data": ({"data_dir": f"/{'x' * 256}/data"}, "created: File name too long"),
    "setting": ({"port": "x"}, "VOXCPM_PORT = 'x': Not a valid integer"),
    "file": ({"config": "/no/such.toml"}, "VOXCPM_CONFIG = '/no/such.toml': cannot be read"),
    "voice": ({"default_voice": "nobody"}, "VOXCPM_DEFAULT_VOICE = 'nobody'"),
    "engine": ({"engine": "nobody"}, "VOXCPM_ENGINE = 'nobody': there is no such engine"),
    "plugin": ({"plugins_dir": "{folder}"}, "plugin 'odd'"),
    "keys": ({"api_keys_file": "{file}"}, "are wrong: there are tables of the form [keys.NAME]"),
    "no keys": ({"api_keys_file": "/no/such"}, "VOXCPM_API_KEYS_FILE = '/no/such': Not a file"),
    "Redis": ({"limits_url": "redis://:secret@x:port"}, "VOXCPM_LIMITS_URL cannot be used"),
    "no Redis": ({"limits_url": "http://:secret@x"}, "VOXCPM_LIMITS_URL = ***: "),
    "lexicon": ({"lexicon": "{file}"}, "[alias] 'Nguyen'"),
}


def check(monkeypatch: pytest.MonkeyPatch, **settings: str) -> Result:
    for name in [name for name in os.environ if name.startswith("VOXCPM_")]:
        monkeypatch.delenv(name)
    environ = {f"VOXCPM_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(main, ["check"], env=environ)


@pytest.mark.parametrize("name", REFUSED)
def test_check_reports_what_serve_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (file := tmp_path / "names.toml").write_text('[alias]\nNguyen = ""\n')
    (tmp_path / "odd.py").write_text("import no_such_package")
    settings, message = REFUSED[name]
    settings = {key: value.format(file=file, folder=tmp_path) for key, value in settings.items()}

    result = check(monkeypatch, **settings)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "the server can start" not in result.output

    def start() -> None:
        made = config(monkeypatch, **settings)
        made.on_starting(SimpleNamespace(cfg=made))

    with pytest.raises(SystemExit) as refused:
        start()
    assert message in str(refused.value)
    assert all(
        line.startswith("voxcpm-openai cannot start: ") for line in str(refused.value).splitlines()
    )
    assert sorted(tmp_path.iterdir()) == [file, tmp_path / "odd.py"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_data_folder_that_is_not_written_to_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """The default one may be missing, and the voices of one that exists can be read."""
    if exists:
        monkeypatch.setenv("VOXCPM_DATA_DIR", NO_FOLDER)
        result = CliRunner().invoke(main, ["check"])
    else:
        monkeypatch.setenv("XDG_DATA_HOME", NO_FOLDER)
        result = check(monkeypatch)
    assert result.exit_code == 0
    assert f"warning: no voice can be added: {NO_FOLDER}" in result.stderr
    assert result.output.endswith("the server can start\n")


def test_the_checks_leave_nothing_behind(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "not" / "there", host=f"unix:{tmp_path}/speech.sock")
    report = examine(settings)
    assert report.problems == report.warnings == ()
    assert report.choice is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [Settings(allow_open=True), Settings(api_keys=("key",))])
def test_beyond_loopback_keys_or_a_setting_are_required(settings: Settings) -> None:
    beyond = [("0.0.0.0", 80), ("::", 80), ("speech.example", 80)]
    check_open(beyond, settings)
    with pytest.raises(StartError, match=r"0\.0\.0\.0, ::, speech.example would admit anyone"):
        check_open([("127.0.0.1", 80), *beyond, ("::1", 80), "/run/speech.sock"], Settings())


def warnings(**given: Any) -> str:
    settings = replace(Settings(engine="embedded"), **given)
    return "\n".join(examine(settings).warnings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"workers": 1, "requests_per_minute": 60, "streams_per_key": 2}, ""),
        ({"workers": 4}, ""),
        ({"workers": 4, "requests_per_minute": 60}, "4 workers divide the requests"),
        ({"workers": 4, "characters_per_minute": 9000}, "is refused a text of more than 2250"),
        ({"workers": 4, "streams_per_key": 4}, "4 workers divide the concurrent streams"),
        (
            {"workers": 4, "requests_per_minute": 9, "limits_url": "redis://127.0.0.1:9"},
            "Redis does not answer",
        ),
    ],
)
def test_what_several_workers_divide_is_said(settings: dict[str, object], expected: str) -> None:
    found = warnings(**settings)
    assert expected in found
    assert bool(found) == bool(expected)
    if "limits_url" in settings:
        assert "divide" not in found


def test_limits_of_single_keys_are_divided_and_a_readable_file_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text("[keys.jane]\nkey = 'x'\nrequests_per_minute = 9\nstreams = 1\n")
    file.chmod(0o644)
    found = warnings(workers=2, api_keys_file=file)
    assert "divide the requests" in found
    assert "divide the concurrent streams" in found
    assert "every user of this machine can read the API keys" in found


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ("redis://:secret@x:port", "http://:secret@x", "redis://:secret@127.0.0.1:9")
    for url in urls:
        result = check(monkeypatch, limits_url=url, api_keys="secret")
        assert "secret" not in result.output + result.stderr
