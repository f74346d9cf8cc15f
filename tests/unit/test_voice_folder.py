"""The plugin ``voice_folder``: voices from TOML files."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.support.stock import load_plugin
from voxcpm_openai import Voice

PLUGIN = load_plugin("voice_folder")
OPTIONS = "[options.hibari]\npitch = 1.2\n"


def read(folder: Path, toml: str) -> Voice:
    path = folder / "wren.toml"
    path.write_text(toml + OPTIONS)
    voice: Voice = PLUGIN.read_voice(path)
    return voice


def test_a_voice_is_read_from_a_toml_file(tmp_path: Path) -> None:
    (tmp_path / "wren.flac").touch()
    voice = read(tmp_path, 'name = "Wren"\nlanguage = "en"\nlicense = "CC0-1.0"\n')
    assert voice == Voice(
        "wren",
        "Wren",
        audio=tmp_path / "wren.flac",
        language="en",
        license="CC0-1.0",
        options={"hibari": {"pitch": 1.2}},
    )


def test_the_name_defaults_to_the_id(tmp_path: Path) -> None:
    assert read(tmp_path, "").name == "wren"


def test_the_old_key_licence_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(tmp_path, 'licence = "CC0-1.0"\n').license == "CC0-1.0"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "wren.toml: the key 'licence' is now called 'license'" in record.getMessage()


def test_the_new_key_wins_over_the_old_one(tmp_path: Path) -> None:
    voice = read(tmp_path, 'licence = "old"\nlicense = "new"\n')
    assert voice.license == "new"


def test_the_stock_voices_use_the_new_key(caplog: pytest.LogCaptureFixture) -> None:
    voices = PLUGIN.register_voices()
    assert len(voices) == 15
    assert all(voice.license for voice in voices)
    assert caplog.records == []
