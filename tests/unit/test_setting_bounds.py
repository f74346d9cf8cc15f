"""Bounds of numeric settings, required strings, and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxcpm_openai.errors import SettingsError
from voxcpm_openai.setting_sources import RawSettings
from voxcpm_openai.settings import load_settings, unknown_keys

BOUNDS = {
    "port": (1, 65535),
    "workers": (1, 256),
    "max_streams": (1, 4096),
    "graceful_timeout": (1, 86400),
    "threads": (0, 1024),
    "max_input_chars": (1, 10_000_000),
    "max_voices": (0, 100_000),
    "max_consents": (0, 100_000),
}
NEVER_EMPTY = ("host", "engine", "default_voice", "data_dir")


def load(name: str, value: object) -> object:
    """Return a setting that is read from its environment variable."""
    return getattr(load_settings({f"VOXCPM_{name.upper()}": str(value)}), name)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_number_is_within_its_bounds(name: str) -> None:
    low, high = BOUNDS[name]
    assert (load(name, low), load(name, high)) == (low, high)
    for value in (low - 1, high + 1):
        with pytest.raises(SettingsError, match=f"VOXCPM_{name.upper()} = '{value}'"):
            load(name, value)


@pytest.mark.parametrize("name", NEVER_EMPTY)
def test_a_required_string_must_not_be_empty_in_the_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'{name} = ""\n')
    with pytest.raises(SettingsError, match=f"settings.toml: {name} = ''"):
        load_settings({"VOXCPM_CONFIG": str(file)})


@pytest.mark.parametrize("name", ["host", "engine", "default_voice"])
def test_a_string_of_one_character_is_accepted(name: str) -> None:
    assert load(name, "x") == "x"


def test_the_data_folder_may_be_missing_but_must_not_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingsError, match="Not a folder"):
        load("data_dir", file)
    assert load("data_dir", tmp_path) == tmp_path
    assert load("data_dir", tmp_path / "later") == tmp_path / "later"
    assert not (tmp_path / "later").exists()


@pytest.mark.parametrize("value", [f"/{'x' * 256}", "~nobody-of-this-name/x"])
@pytest.mark.parametrize("name", ["voices_dir", "plugins_dir", "lexicon", "config"])
def test_a_path_that_cannot_be_looked_at_is_a_wrong_setting(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"VOXCPM_{name.upper()} = "):
        load(name, value)


def test_a_data_folder_of_an_unknown_user_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="VOXCPM_DATA_DIR = '~nobody-of-this-name/x'"):
        load("data_dir", "~nobody-of-this-name/x")


@pytest.mark.parametrize("name", ["voices_dir", "plugins_dir"])
def test_a_folder_that_is_only_read_must_exist(name: str, tmp_path: Path) -> None:
    assert load(name, tmp_path) == tmp_path.resolve()
    with pytest.raises(SettingsError, match="Not a folder that exists"):
        load(name, tmp_path / "later")


@pytest.mark.parametrize("value", ["7", '["a", 7]', "true"])
def test_a_list_setting_in_the_file_must_be_a_list_of_strings(tmp_path: Path, value: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"api_keys = {value}\n")
    with pytest.raises(SettingsError, match="Not a list of words"):
        load_settings({"VOXCPM_CONFIG": str(file)})


@pytest.mark.parametrize("name", ["voices_dir", "data_dir"])
@pytest.mark.parametrize("value", ["7", r'"/a\u0000b"'])
def test_a_folder_setting_in_the_file_must_be_a_path(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"{name} = {value}\n")
    with pytest.raises(SettingsError, match="Not a folder"):
        load_settings({"VOXCPM_CONFIG": str(file)})


def test_only_unknown_variables_of_the_prefix_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"VOXCPM_PRT": "1", "HOME": "/", "VOXCPM_PORT": "8000", "XVOXCPM_PRT": "1"}
    assert unknown_keys([], RawSettings(environ, {}, "")) == []
    assert [record.getMessage() for record in caplog.records] == [
        "VOXCPM_PRT is not a setting; it is ignored"
    ]
