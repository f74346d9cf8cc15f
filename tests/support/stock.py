"""The stock plugins and voices, for tests."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from types import ModuleType

import numpy as np

from tests.support import ROOT
from voxcpm_openai import Engine, Samples, Segment, Utterance, Voice

OPENAI_MODELS = [
    "tts-1",
    "tts-1-1106",
    "tts-1-hd",
    "tts-1-hd-1106",
    "gpt-4o-mini-tts",
    "gpt-4o-mini-tts-2025-12-15",
    "gpt-realtime-2.1-mini",
    "gpt-realtime",
]
"""OpenAI's model ids, which every engine serves."""


def load_plugin(stem: str) -> ModuleType:
    """Import ``plugins/<stem>.py`` by path, as the server does."""
    name = f"plugin_under_test_{stem}"
    spec = importlib.util.spec_from_file_location(name, ROOT / "plugins" / f"{stem}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def hibari_voices() -> dict[str, Voice]:
    """Return the stock voices with settings for hibari, by id."""
    tables = {path.stem: tomllib.loads(path.read_text()) for path in ROOT.glob("voices/*.toml")}
    return {
        id_: Voice(id=id_, **table)
        for id_, table in sorted(tables.items())
        if "hibari" in table.get("options", {})
    }


def say(engine: Engine, voice: Voice, text: str, seed: int) -> Samples:
    """Synthesize one segment; return its samples."""
    stream = engine.synthesize(Utterance((Segment(text),), voice, seed=seed))
    return np.concatenate([chunk.samples for chunk in stream])
