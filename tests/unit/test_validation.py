"""Validation of names, transcripts and other short texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices import validation
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.voices import VoiceStore


@pytest.mark.parametrize("name", ["Élodie", "名前 一", "صوت", "Ωμέγα", "अनिल", "👩🏽‍🎤", "a" * 100])
def test_names_in_any_script_are_stored_unchanged(tmp_path: Path, name: str) -> None:
    store = VoiceStore(DataFolder(tmp_path), Settings())
    store.add(validation.name(f" {name} "), b"clip", principal=OPERATOR)
    (again,) = VoiceStore(DataFolder(tmp_path), Settings()).voices()
    assert again.name == name


@pytest.mark.parametrize(
    "name", ["", "   ", "a" * 101, "a\nb", "a\x00", "a\u202eb", "\ud800", "a\u2028b", "\x7f"]
)
def test_invalid_names_are_rejected(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validation.name(name)
    assert caught.value.param == "name"


def test_equal_texts_are_normalized_to_the_same_form() -> None:
    assert validation.name("E\u0301lodie") == validation.name("\u00c9lodie")
    assert validation.transcript(" two\nlines\tof text ") == "two lines of text"
