"""Settings: where they come from and what is said when one is wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from voxcpm_openai.errors import SettingsError
from voxcpm_openai.settings import Settings, describe, load_settings, sources, variable


def config(folder: Path, text: str) -> dict[str, str]:
    path = folder / "voxcpm.toml"
    path.write_text(text, encoding="utf-8")
    return {"VOXCPM_CONFIG": str(path)}


def test_nothing_set_gives_the_defaults() -> None:
    assert load_settings({}) == Settings()


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    environ = config(tmp_path, 'port = 9000\nhost = "::1"\n')
    settings = load_settings({**environ, "VOXCPM_PORT": "9001"})
    assert (settings.port, settings.host) == (9001, "::1")
    assert settings.workers == Settings().workers


def test_lists_are_comma_separated_in_variables_and_arrays_in_the_file(tmp_path: Path) -> None:
    settings = load_settings(
        {
            **config(tmp_path, 'cors_origins = ["https://a.example", "https://b.example"]'),
            "VOXCPM_API_KEYS": "one key, another,",
        }
    )
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.api_keys == ("one key", "another")


@pytest.mark.parametrize(
    ("name", "value", "wants"),
    [
        ("VOXCPM_PORT", "eighty", "Not a valid integer"),
        ("VOXCPM_PORT", "70000", "less than or equal to 65535"),
        ("VOXCPM_STRICT", "perhaps", "Not a valid boolean"),
        ("VOXCPM_VOICES_DIR", "/no/such/folder", "Not a folder that exists"),
        ("VOXCPM_LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("VOXCPM_CONFIG", "/no/such/file.toml", "cannot be read"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_is_right(
    name: str, value: str, wants: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)
    assert wants in str(caught.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"VOXCPM_PORT": "x", "VOXCPM_WORKERS": "0"})
    assert "VOXCPM_PORT" in str(caught.value)
    assert "VOXCPM_WORKERS" in str(caught.value)


def test_keys_are_never_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config(tmp_path, 'api_keys = ["secret", 7]'))
    assert "api_keys" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unknown_key_of_the_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"prot = 1: there is no such setting.*port"):
        load_settings(config(tmp_path, "prot = 1"))


def test_a_file_that_is_not_toml_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings(config(tmp_path, "port ="))


def test_half_a_port_is_refused_and_not_cut(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"port = 78\.5: Not a valid integer"):
        load_settings(config(tmp_path, "port = 78.5"))


def test_an_unknown_variable_only_warns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert load_settings({"VOXCPM_PROT": "1"}) == Settings()
    assert "VOXCPM_PROT is not a setting" in caplog.text


def test_sources_tell_where_each_value_came_from(tmp_path: Path) -> None:
    environ = {**config(tmp_path, "workers = 2"), "VOXCPM_PORT": "9001"}
    origins = {source.name: source.origin for source in sources(environ)}
    assert origins["port"] == "VOXCPM_PORT"
    assert origins["workers"].endswith("voxcpm.toml: workers")
    assert origins["host"] == "default"


def test_every_setting_has_help() -> None:
    for name, help_text, _ in describe():
        assert len(help_text) > 15, name
        assert help_text.endswith("."), name
    assert variable("port") == "VOXCPM_PORT"


def test_added_voices_are_kept_where_xdg_says_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert load_settings({}).data_folder == tmp_path / "share" / "voxcpm-openai"
    assert load_settings({}).cache_folder == tmp_path / "cache" / "voxcpm-openai"
    told = load_settings({"VOXCPM_DATA_DIR": str(tmp_path / "not" / "there")})
    assert told.data_folder == tmp_path / "not" / "there"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings({}).data_folder == tmp_path / ".local/share/voxcpm-openai"
    assert not told.data_folder.exists()


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="Not a folder"):
        load_settings({"VOXCPM_DATA_DIR": str(tmp_path / "file")})
