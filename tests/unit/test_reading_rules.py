"""The rules that make words of written forms, in each language: every row of every rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voxcpm_openai.chinese import words as chinese
from voxcpm_openai.english import words as english
from voxcpm_openai.spanish import words as spanish

LANGUAGES = {"en": english, "es": spanish, "zh": chinese}
RULES = [
    (language, rule)
    for language, module in LANGUAGES.items()
    for group in module.GROUPS
    for rule in group.rules
]
ROWS = [
    pytest.param(LANGUAGES[language].to_words, *row, id=f"{language}: {row[0]}")
    for language, rule in RULES
    for row in rule.rows
]


@pytest.mark.parametrize(("to_words", "text", "words"), ROWS)
def test_a_rule_reads_its_rows(to_words: Callable[[str], str], text: str, words: str) -> None:
    assert to_words(text) == words


def test_every_rule_has_a_row() -> None:
    assert [(language, rule.pattern.pattern) for language, rule in RULES if not rule.rows] == []
