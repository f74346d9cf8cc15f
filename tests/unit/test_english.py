"""English texts become words: every row of every rule, and a table of readings by kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.readings import folded, is_read, readings
from voxcpm_openai.english.words import GROUPS, finish, read, to_words

TABLE = readings(Path(__file__).with_name("english_readings.tsv"))
KINDS = sorted({row.kind for row in TABLE})
ROWS = [row for group in GROUPS for rule in group.rules for row in rule.rows]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_read_as_a_person_would(kind: str) -> None:
    rows = [row for row in TABLE if row.kind == kind]
    wrong = [
        f"{row.text}: {spoken}"
        for row in rows
        if not is_read(spoken := to_words(row.text), row.spoken)
    ]
    assert wrong == []


def test_the_table_has_enough_of_each_kind() -> None:
    assert len(TABLE) > 1000
    assert len({row.text for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_left_alone(kind: str) -> None:
    spoken = [to_words(row.text) for row in TABLE if row.kind == kind]
    assert [to_words(text) for text in spoken] == spoken


def test_what_is_taken_for_plain_has_nothing_to_read() -> None:
    texts = [text for text, _ in ROWS] + [row.text for row in TABLE]
    missed = [text for text in texts if finish(read(text)) != to_words(text)]
    assert missed == []


def test_folding_leaves_what_is_heard() -> None:
    assert folded("It’s twenty-one metres, and O") == "it's twenty one meters and o"
    assert folded("one hundred and five") == "one hundred five"
    assert folded("one hundred and more") == "one hundred and more"
    assert is_read("fifty", "{one|} fifty||fifty cents")
    assert not is_read("two fifty", "{one|} fifty||fifty cents")
