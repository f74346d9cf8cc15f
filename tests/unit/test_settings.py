"""Settings: their sources, their errors, and the settings of plugins."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import pytest

from voxcpm_openai.errors import PluginError, SettingsError
from voxcpm_openai.registry import load_registry
from voxcpm_openai.setting_sources import RawSettings, Source, sources
from voxcpm_openai.setting_types import plugin_settings, setting
from voxcpm_openai.settings import Settings, load_settings


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
def test_the_error_of_a_wrong_value_names_it_and_says_what_is_correct(
    name: str, value: str, wants: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)
    assert wants in str(caught.value)


def test_all_errors_are_reported_at_once() -> None:
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
        load_registry(load_settings(config(tmp_path, "prot = 1")))


def test_a_file_that_is_not_toml_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings(config(tmp_path, "port ="))


def test_a_fraction_is_refused_as_an_integer(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"port = 78\.5: Not a valid integer"):
        load_settings(config(tmp_path, "port = 78.5"))


def test_an_unknown_variable_only_warns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_registry(load_settings({"VOXCPM_PROT": "1", "VOXCPM_MODEL": "openbmb/VoxCPM2"}))
    assert "VOXCPM_PROT is not a setting" in caplog.text
    assert "VOXCPM_MODEL is not" not in caplog.text


def test_sources_name_the_origin_of_each_value(tmp_path: Path) -> None:
    settings = load_settings({**config(tmp_path, "workers = 2"), "VOXCPM_PORT": "9001"})
    origins = {source.name: source.origin for source in sources(Settings, settings.raw)}
    assert origins["port"] == "VOXCPM_PORT"
    assert origins["workers"].endswith("voxcpm.toml: workers")
    assert origins["host"] == "default"


def every_setting() -> list[tuple[type, Source]]:
    """List all settings, the plugins' own included, with their classes."""
    kinds = (Settings, *load_registry(Settings()).plugin_settings())
    return [(kind, source) for kind in kinds for source in sources(kind, RawSettings())]


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    ("kind", "source"), every_setting(), ids=[source.variable for _, source in every_setting()]
)
def test_an_empty_variable_counts_as_unset(kind: type, source: Source, empty: str) -> None:
    settings = load_settings({source.variable: empty, "VOXCPM_CONFIG": empty})
    assert getattr(settings.of(kind), source.name) == source.value
    (read,) = [one for one in sources(kind, settings.raw) if one.variable == source.variable]
    assert read == source


def test_an_empty_variable_does_not_hide_the_file(tmp_path: Path) -> None:
    environ = config(tmp_path, 'api_keys = ["key"]\nport = 9000\n[beep]\npitch = 330\n')
    names = ("VOXCPM_API_KEYS", "VOXCPM_PORT", "VOXCPM_BEEP_PITCH")
    settings = load_settings({**environ, **dict.fromkeys(names, "")})
    assert (settings.api_keys, settings.port) == (("key",), 9000)
    assert settings.of(BeepSettings).pitch == 330


def test_every_setting_has_help() -> None:
    registry = load_registry(Settings())
    kinds = (Settings, *registry.plugin_settings())
    found = [source for kind in kinds for source in sources(kind, RawSettings())]
    assert {"VOXCPM_PORT", "VOXCPM_MODEL", "VOXCPM_TRANSCRIBER_MODEL"} <= {
        source.variable for source in found
    }
    for source in found:
        assert len(source.help) > 15, source.name
        assert source.help.endswith("."), source.name


@plugin_settings("beep")
class BeepSettings:
    pitch: float = setting(440.0, "The pitch in Hz.", min=20, max=20_000)
    wave: str = setting("sine", "The wave form.", choices=("sine", "square"))
    harmonics: int = setting(1, "The number of harmonics.", min=1)
    loud: bool = setting(False, "Whether it is loud.")
    words: tuple[str, ...] = setting((), "Words to beep at.")
    folder: Path | None = setting(None, "A folder of beeps.")
    echo: Literal["auto", "on", "off"] = setting("auto", "Whether beeps echo.")


def test_a_plugins_settings_have_its_name_in_variables_and_in_the_file(tmp_path: Path) -> None:
    file = '[beep]\npitch = 330\nwave = "square"\nwords = ["a", "b"]'
    settings = load_settings(
        {
            **config(tmp_path, file),
            "VOXCPM_BEEP_PITCH": "880",
            "VOXCPM_BEEP_LOUD": "yes",
            "VOXCPM_BEEP_FOLDER": str(tmp_path),
        }
    )
    assert settings.of(BeepSettings) == BeepSettings(
        pitch=880.0, wave="square", harmonics=1, loud=True, words=("a", "b"), folder=tmp_path
    )
    assert Settings().of(BeepSettings) == BeepSettings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PITCH", "5", "greater than or equal to 20"),
        ("PITCH", "high", "Not a valid number"),
        ("WAVE", "round", "sine, square"),
        ("HARMONICS", "0", "greater than or equal to 1"),
        ("LOUD", "perhaps", "Not a valid boolean"),
        ("FOLDER", "/no/such/folder", "Not a folder that exists"),
        ("ECHO", "perhaps", "Not on, off or auto"),
    ],
)
def test_a_wrong_value_of_a_plugins_setting_is_reported_with_its_name(
    name: str, value: str, expected: str
) -> None:
    settings = load_settings({f"VOXCPM_BEEP_{name}": value})
    with pytest.raises(SettingsError, match=f"VOXCPM_BEEP_{name} = '{value}'.*{expected}"):
        settings.of(BeepSettings)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("auto", "auto"),
        *(dict.fromkeys(("on", "true", "1", "yes"), "on").items()),
        *(dict.fromkeys(("off", "False", "0", "no"), "off").items()),
    ],
)
def test_what_is_on_off_or_auto_is_read_from_booleans_too(
    tmp_path: Path, value: str, expected: str
) -> None:
    assert load_settings({"VOXCPM_BEEP_ECHO": value}).of(BeepSettings).echo == expected
    literal = value if value in ("1", "0") else f'"{value}"'
    read = load_settings(config(tmp_path, f"[beep]\necho = {literal}"))
    assert read.of(BeepSettings).echo == expected
    for flag, word in (("true", "on"), ("false", "off")):
        read = load_settings(config(tmp_path, f"[beep]\necho = {flag}"))
        assert read.of(BeepSettings).echo == word


PLUGIN = """
from voxcpm_openai import EngineSpec, hookimpl, plugin_settings, setting

@plugin_settings({table!r})
class Own:
    {field}: str = setting("x", "A setting of the plugin's own.")

@hookimpl
def register_engines():
    return [EngineSpec("own", start=lambda settings: None, settings=Own)]
"""


@pytest.mark.parametrize(
    ("table", "field", "owner"),
    [("", "port", "the server"), ("", "model", "plugin 'upstream_engine'|plugin 'voxcpm_engine'")],
)
def test_a_plugin_cannot_declare_a_setting_of_another_owner(
    tmp_path: Path, table: str, field: str, owner: str
) -> None:
    (tmp_path / "greedy.py").write_text(PLUGIN.format(table=table, field=field))
    with pytest.raises(
        PluginError, match=rf"'greedy' declares .*VOXCPM_{field.upper()}.*({owner})"
    ):
        load_registry(Settings(plugins_dir=tmp_path))


def test_unknown_keys_of_a_plugins_table_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PLUGIN.format(table="own", field="tone"))
    raw = RawSettings(file={"own": {"tone": "y", "tune": "z"}}, path="voxcpm.toml")
    with pytest.raises(
        SettingsError, match=r"voxcpm.toml: own.tune = 'z': there is no such setting"
    ):
        load_registry(Settings(plugins_dir=tmp_path, raw=raw))


def test_the_data_folder_follows_xdg_unless_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert load_settings({}).data_folder == tmp_path / "share" / "voxcpm-openai"
    assert load_settings({}).cache_folder == tmp_path / "cache" / "voxcpm-openai"
    explicit = load_settings({"VOXCPM_DATA_DIR": str(tmp_path / "not" / "there")})
    assert explicit.data_folder == tmp_path / "not" / "there"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings({}).data_folder == tmp_path / ".local/share/voxcpm-openai"
    assert not explicit.data_folder.exists()


def test_the_data_folder_cannot_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="Not a folder"):
        load_settings({"VOXCPM_DATA_DIR": str(tmp_path / "file")})
