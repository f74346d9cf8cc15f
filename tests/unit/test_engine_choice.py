"""The choice of the engine, the error when none is available, and disabled plugins."""

from __future__ import annotations

import logging

import pytest

from voxcpm_openai.contracts import Engine, EngineSpec, Preset
from voxcpm_openai.errors import PluginError, SettingsError
from voxcpm_openai.registry import Registry, choose_engine, load_registry
from voxcpm_openai.settings import Settings


def start(_: Settings) -> Engine:
    raise AssertionError("nothing is started")


def spec(name: str, priority: int, reason: str | None = None) -> EngineSpec:
    return EngineSpec(name, start, lambda _: reason, priority)


def registry(*specs: EngineSpec) -> Registry:
    engines = {spec.name: spec for spec in specs}
    return Registry(
        (),
        {},
        {"any": Preset("any")},
        {},
        engines,
        {},
        {spec: f"{name}-plugin" for name, spec in engines.items()},
    )


def test_auto_chooses_the_available_engine_with_the_highest_priority() -> None:
    engines = registry(spec("low", 1), spec("high", 3, "It has no GPU."), spec("middle", 2))
    choice = choose_engine(engines, Settings(engine="auto"))
    assert (choice.spec.name, choice.plugin) == ("middle", "middle-plugin")
    assert choice.reason == "high: It has no GPU."


def test_the_error_gives_the_reason_of_each_unavailable_engine() -> None:
    engines = registry(spec("one", 1, "It has no GPU."), spec("two", 2, "It lacks a package."))
    with pytest.raises(SettingsError) as caught:
        choose_engine(engines, Settings(engine="auto"))
    assert "one: It has no GPU." in str(caught.value)
    assert "two: It lacks a package." in str(caught.value)


def test_a_named_engine_is_chosen_or_the_error_gives_the_reason() -> None:
    engines = registry(spec("one", 1), spec("two", 2, "It lacks a package."))
    assert choose_engine(engines, Settings(engine="one")).spec.name == "one"
    with pytest.raises(SettingsError, match=r"'two': It lacks a package\."):
        choose_engine(engines, Settings(engine="two"))
    with pytest.raises(SettingsError, match="there are auto, one, two"):
        choose_engine(engines, Settings(engine="three"))


def test_a_plugin_whose_availability_check_fails_is_named() -> None:
    def broken(_: Settings) -> str | None:
        raise RuntimeError("oops")

    with pytest.raises(PluginError, match="one-plugin"):
        choose_engine(registry(EngineSpec("one", start, broken)), Settings(engine="auto"))


def test_a_disabled_plugin_is_not_loaded_and_an_unknown_one_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(disabled_plugins=("embedded_engine", "no_such_plugin"))
    with caplog.at_level(logging.WARNING):
        loaded = load_registry(settings)
    assert "embedded" not in loaded.engines
    assert "embedded_engine" not in {plugin.name for plugin in loaded.plugins}
    (record,) = caplog.records
    assert "'no_such_plugin'" in record.getMessage()
