"""Names and other texts that people give."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices import names
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.store import Store


@pytest.mark.parametrize("name", ["Élodie", "名前 一", "صوت", "Ωμέγα", "अनिल", "👩🏽‍🎤", "a" * 100])
def test_names_of_any_script_are_kept(tmp_path: Path, name: str) -> None:
    store = Store(Data(tmp_path), Settings())
    store.add(names.name(f" {name} "), b"clip", owner=None)
    (again,) = Store(Data(tmp_path), Settings()).voices()
    assert again.name == name


@pytest.mark.parametrize(
    "name", ["", "   ", "a" * 101, "a\nb", "a\x00", "a\u202eb", "\ud800", "a\u2028b", "\x7f"]
)
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        names.name(name)
    assert caught.value.param == "name"


def test_the_same_letters_are_kept_as_the_same_name() -> None:
    assert names.name("E\u0301lodie") == names.name("\u00c9lodie")
    assert names.transcript(" two\nlines\tof text ") == "two lines of text"
