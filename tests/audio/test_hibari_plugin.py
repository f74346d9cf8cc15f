"""Registration of the embedded engine, its missing packages and its number of threads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import pytest

from tests.support.hibari import plugin
from voxcpm_openai import Settings, available_cores


def test_the_plugin_registers_the_engine_and_its_model_id() -> None:
    spec, other = plugin.register_engines(Settings())
    presets = {preset.id: preset.engine for preset in plugin.register_presets()}
    assert (spec.name, spec.aliases, other.name) == ("embedded", ("hibari",), "kokoro")
    assert presets == {"embedded": "embedded", "hibari": "embedded", "kokoro": "kokoro"}
    assert spec.unavailable_reason(Settings()) is None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        plugin.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else name
    )
    assert "onnxruntime" in plugin.hibari_missing(Settings())


def test_threads_are_the_number_of_segments_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick:
        g2p = SimpleNamespace(oov=str, tokenizer=SimpleNamespace(special={}))
        vocab: ClassVar[dict[str, int]] = {}

        def __init__(self, threads: int) -> None:
            assert threads == 1

        def __call__(self, text: str, seed: int) -> None:
            pass

    monkeypatch.setattr("hibari.Hibari", Quick)
    cores = available_cores()
    assert plugin.start(Settings(threads=0)).status().details["threads"] == cores
    assert plugin.start(Settings(threads=cores + 1)).status().details["threads"] == cores + 1
