"""The registry: what plugins offer, which one wins, and the errors of broken plugins."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.stock import OPENAI_MODELS
from voxcpm_openai import Engine, EngineSpec, Preset, Settings, Voice, plugin_loader
from voxcpm_openai.errors import PluginError, SettingsError
from voxcpm_openai.registry import Registry, choose_engine, load_registry

STOCK_VOICES = [
    *"alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split(),
    *"xiaoxiao yunxi".split(),
]


def plugin(folder: Path, name: str, source: str) -> Settings:
    (folder / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    return Settings(plugins_dir=folder)


def voice_plugin(id_: str, name: str) -> str:
    return f"""
        from voxcpm_openai import Voice, hookimpl

        @hookimpl
        def register_voices():
            return [Voice(id={id_!r}, name={name!r}, options={{"hibari": {{}}}})]
        """


def test_the_stock_plugins_offer_voices_models_formats_and_an_engine() -> None:
    registry = load_registry(Settings())
    assert sorted(registry.voices) == STOCK_VOICES
    assert {
        *OPENAI_MODELS,
        "embedded",
        "hibari",
        "kokoro",
        "voxcpm",
    } == set(registry.presets)
    assert list(registry.formats) == [
        *("mp3", "opus", "aac", "flac", "wav", "pcm"),
        *("ogg", "webm", "ulaw", "alaw"),
    ]
    assert list(registry.transcribers) == ["whisper"]
    assert list(registry.engines) == ["embedded", "kokoro", "upstream", "voxcpm"]
    assert {plugin.origin for plugin in registry.plugins} == {"stock"}


def test_a_plugin_in_the_users_folder_replaces_a_stock_voice_and_logs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = plugin(tmp_path, "mine", voice_plugin("alloy", "My Alloy"))
    with caplog.at_level(logging.INFO):
        registry = load_registry(settings)
    assert registry.voices["alloy"].name == "My Alloy"
    assert sorted(registry.voices) == STOCK_VOICES
    assert "voice 'alloy': mine replaces that of voice_folder" in caplog.text


def test_a_voice_in_the_users_folder_wins_over_every_plugin(tmp_path: Path) -> None:
    plugins, voices = tmp_path / "plugins", tmp_path / "voices"
    plugins.mkdir()
    voices.mkdir()
    settings = plugin(plugins, "mine", voice_plugin("alloy", "The plugin's"))
    (voices / "alloy.toml").write_text('name = "The user\'s"\n[options.hibari]\n')
    registry = load_registry(replace(settings, voices_dir=voices))
    assert registry.voices["alloy"].name == "The user's"


def test_an_entry_point_wins_over_the_stock_and_loses_to_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    source = """
        from voxcpm_openai import Voice, hookimpl

        @hookimpl
        def register_voices():
            return [Voice("alloy", "Installed"), Voice("echo", "Installed")]
        """
    (installed / "voice_pack_for_a_test.py").write_text(dedent(source))
    monkeypatch.syspath_prepend(str(installed))
    point = EntryPoint("pack", "voice_pack_for_a_test", "voxcpm_openai")
    monkeypatch.setattr(plugin_loader, "entry_points", lambda group: [point])
    own = tmp_path / "own"
    own.mkdir()
    registry = load_registry(plugin(own, "mine", voice_plugin("alloy", "Mine")))
    assert registry.voices["echo"].name == "Installed"
    assert registry.voices["alloy"].name == "Mine"
    sys.modules.pop("voice_pack_for_a_test")


def test_a_disabled_plugin_is_not_even_imported(tmp_path: Path) -> None:
    settings = plugin(tmp_path, "broken", "raise RuntimeError('no')")
    registry = load_registry(replace(settings, disabled_plugins=("broken", "openai_presets")))
    assert "tts-1" not in registry.presets
    assert "broken" not in {plugin.name for plugin in registry.plugins}


def test_disabling_an_unknown_plugin_logs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    load_registry(Settings(disabled_plugins=("nobody",)))
    assert "'nobody', which does not exist" in caplog.text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_package", "cannot be imported: ModuleNotFoundError"),
        ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
        ("raise RuntimeError('out of luck')", "RuntimeError: out of luck"),
        (
            """
            from voxcpm_openai import hookimpl
            @hookimpl
            def register_voice(): return []
            """,
            "register_presets, register_encoders, register_engines, register_transcribers",
        ),
        (
            """
            from voxcpm_openai import hookimpl
            @hookimpl
            def register_voices(wish): return []
            """,
            "does not fit",
        ),
        (
            """
            from voxcpm_openai import hookimpl
            @hookimpl
            def register_voices(): return ["alloy"]
            """,
            "register_voices returned 'alloy', not a Voice",
        ),
        (
            """
            from voxcpm_openai import hookimpl
            @hookimpl
            def register_voices(): return None
            """,
            "register_voices returned None, not a list",
        ),
        (
            """
            from voxcpm_openai import hookimpl
            @hookimpl
            def register_voices(): return 1 / 0
            """,
            "register_voices failed: ZeroDivisionError",
        ),
    ],
)
def test_a_plugin_that_fails_stops_the_start_with_its_name_and_the_cause(
    tmp_path: Path, source: str, message: str
) -> None:
    with pytest.raises(PluginError) as caught:
        load_registry(plugin(tmp_path, "odd_one", source))
    assert "odd_one" in str(caught.value)
    assert message in str(caught.value)


def test_two_plugins_of_one_name_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"'voice_folder'.*rename"):
        load_registry(plugin(tmp_path, "voice_folder", ""))


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("name = ", "alloy.toml"),
        ("nmae = 'x'\n[options.hibari]", "'nmae' is not a key of a voice"),
        ("name = 7\n[options.hibari]", "name = 7 is not a text"),
        ("name = 'x'", "neither a clip alloy.flac nor"),
        ("name = 'x'\noptions = 3", "options are tables by engine"),
    ],
)
def test_the_error_of_a_wrong_voice_file_names_it(tmp_path: Path, toml: str, message: str) -> None:
    (tmp_path / "alloy.toml").write_text(toml)
    with pytest.raises(PluginError) as caught:
        load_registry(Settings(voices_dir=tmp_path))
    assert message in str(caught.value)


def test_a_hook_may_take_the_settings(tmp_path: Path) -> None:
    source = """
        from voxcpm_openai import Preset, hookimpl

        @hookimpl
        def register_presets(settings):
            return [Preset(f"port-{settings.port}")]
        """
    assert "port-7861" in load_registry(plugin(tmp_path, "reads", source)).presets


def test_a_default_voice_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(SettingsError, match=r"VOXCPM_DEFAULT_VOICE = 'nobody'.*alloy"):
        load_registry(Settings(default_voice="nobody"))


def spec(name: str, reason: str | None = None, priority: int = 0) -> EngineSpec:
    def start(settings: Settings) -> Engine:
        raise AssertionError

    return EngineSpec(name, start, lambda settings: reason, priority)


def registry_of(*engines: EngineSpec) -> Registry:
    by_name = {engine.name: engine for engine in engines}
    providers = {spec: f"{name}_plugin" for name, spec in by_name.items()}
    return Registry((), {}, {"any": Preset("any")}, {}, by_name, {}, providers)


def test_auto_chooses_the_available_engine_of_the_highest_priority() -> None:
    engines = registry_of(spec("low"), spec("high", priority=10), spec("middle", priority=5))
    choice = choose_engine(engines, Settings())
    assert (choice.spec.name, choice.plugin) == ("high", "high_plugin")
    assert choice.reason == "the engine of the highest priority"


def test_auto_skips_engines_that_cannot_run_and_gives_their_reasons() -> None:
    engines = registry_of(spec("low"), spec("high", "no CUDA device.", priority=10))
    choice = choose_engine(engines, Settings())
    assert choice.spec.name == "low"
    assert choice.reason == "high: no CUDA device."
    with pytest.raises(SettingsError, match=r"no engine can run. high: no GPU; low: no CPU"):
        choose_engine(registry_of(spec("low", "no CPU"), spec("high", "no GPU", 1)), Settings())


def test_the_stock_engines_have_the_priorities_that_auto_needs() -> None:
    engines = load_registry(Settings()).engines.values()
    by_priority = sorted(engines, key=lambda engine: engine.priority)
    assert [engine.name for engine in by_priority] == ["upstream", "kokoro", "embedded", "voxcpm"]
    assert by_priority[0].priority < 0 < by_priority[2].priority


def test_an_engine_that_is_selected_by_name_must_be_able_to_run() -> None:
    engines = registry_of(spec("low"), spec("high", "no weights here."))
    choice = choose_engine(engines, Settings(engine="low"))
    assert (choice.spec.name, choice.reason) == ("low", "VOXCPM_ENGINE selects it")
    with pytest.raises(SettingsError, match="VOXCPM_ENGINE = 'high': no weights here"):
        choose_engine(engines, Settings(engine="high"))
    with pytest.raises(SettingsError, match="there are auto, low, high"):
        choose_engine(engines, Settings(engine="nobody"))


def test_an_engine_without_a_model_id_is_a_settings_error() -> None:
    engines = replace(registry_of(spec("low")), presets={"other": Preset("other", "other")})
    with pytest.raises(SettingsError, match="no plugin offers a model id for the engine 'low'"):
        choose_engine(engines, Settings())


def test_presets_of_another_engine_are_not_served() -> None:
    presets = {p.id: p for p in (Preset("any"), Preset("mine", "hibari"), Preset("its", "voxcpm"))}
    registry = Registry((), {"alloy": Voice("alloy", "Alloy")}, presets, {}, {}, {})
    assert [p.id for p in registry.presets_for("hibari")] == ["any", "mine"]
