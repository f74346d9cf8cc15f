"""hibari's further voices: used where their files are installed, never downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hibari.voices import VOICES, voice_path

from tests.support.hibari import english_engine, synthesized
from voxcpm_openai import InvalidRequest, Voice
from voxcpm_openai.embedded.bases import Bases, installed


def based(name: str) -> Voice:
    return Voice("based", "Based", options={"hibari": {"base": name, "pitch": 0.6}})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for hibari's voices, and no way to download them."""

    def refuse(*args: Any) -> None:
        raise AssertionError("a download")

    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    monkeypatch.setattr("hibari.voices.download", refuse)
    return tmp_path


@pytest.fixture
def stocked(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with files named as emma and fenrir, copies of the network in the package."""
    for name in ("emma", "fenrir"):
        shutil.copy(voice_path("heart"), home / VOICES[name]["file"])
        facts = {**VOICES[name], "sha256": VOICES["heart"]["sha256"]}
        monkeypatch.setitem(VOICES, name, facts)
    return home


def test_without_the_file_the_voice_is_shaped(home: Path, hibari: Any) -> None:
    bases = Bases(hibari)
    assert bases.speaker(based("fenrir")) == (hibari, based("fenrir"))


def test_a_file_with_another_checksum_is_not_used(
    home: Path, hibari: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (home / VOICES["emma"]["file"]).write_bytes(b"something else")
    assert installed() == {}
    assert "wrong checksum" in caplog.text
    assert Bases(hibari).speaker(based("emma"))[0] is hibari


def test_an_installed_voice_speaks_as_it_is_and_as_loud(stocked: Path, hibari: Any) -> None:
    assert set(installed()) == {"emma", "fenrir"}
    other, voice = Bases(hibari).speaker(based("fenrir"))
    assert other.model_path == str(stocked / VOICES["fenrir"]["file"])
    assert other.g2p is hibari.g2p
    assert set(voice.options["hibari"]) == {"gain"}
    assert voice.options["hibari"]["gain"] == pytest.approx(0, abs=0.1)


def test_a_british_voice_has_british_pronunciations(stocked: Path, hibari: Any) -> None:
    british, _ = Bases(hibari).speaker(based("emma"))
    (word,) = british.phonemize("bath")
    assert word != hibari.phonemize("bath")[0]


def test_the_engine_speaks_with_it(stocked: Path, hibari: Any) -> None:
    engine = english_engine(hibari, 1)
    plain = synthesized(engine, "Hello.")
    assert np.allclose(synthesized(engine, "Hello.", voice=based("fenrir")), plain, atol=0.02)
    shaped = synthesized(engine, "Hello.", voice=based("kore"))
    assert len(shaped) != len(plain) or not np.allclose(shaped, plain, atol=0.02)


@pytest.mark.parametrize("base", ["wolf", 3])
def test_a_base_that_hibari_does_not_have_is_named(home: Path, hibari: Any, base: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"options.hibari.base = .*: there are heart, emma"):
        Bases(hibari).speaker(based(base))


def test_the_other_options_are_checked_also_where_the_base_is_there(
    stocked: Path, hibari: Any
) -> None:
    wrong = Voice("odd", "Odd", options={"hibari": {"base": "emma", "pich": 1}})
    with pytest.raises(InvalidRequest, match="no such option"):
        Bases(hibari).speaker(wrong)
