"""A rule: a pattern of written forms, what they become, and rows that show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Replacement = str | Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """Replaces what ``pattern`` matches.

    ``replace`` is a template or a function; a function returns the match itself where the form
    turns out to be another.  ``rows`` are texts and what ``to_words`` makes of them; a test runs
    each.
    """

    pattern: re.Pattern[str]
    replace: Replacement
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that apply in order, to texts in which ``needs`` is found."""

    needs: re.Pattern[str]
    rules: tuple[Rule, ...]

    def apply(self, text: str) -> str:
        """Return the text after all rules."""
        if self.needs.search(text):
            for rule in self.rules:
                text = rule.pattern.sub(rule.replace, text)
        return text


def rule(pattern: str, replace: Replacement, *rows: tuple[str, str]) -> Rule:
    """Make a rule."""
    return Rule(re.compile(pattern), replace, rows)


_NEAR = 60


def text_before(match: re.Match[str]) -> str:
    """Return the text just before a match: enough to judge it, and no more for a long text."""
    start = match.start()
    return match.string[max(0, start - _NEAR) : start]


def text_after(match: re.Match[str]) -> str:
    """Return the text just after a match, as long at most."""
    return match.string[match.end() : match.end() + _NEAR]


def alternatives(words: Iterable[str]) -> str:
    """Return a pattern that matches any of the words, the longest first.

    The words are grouped by their first character: a text is then compared with few of them.
    """
    rests: dict[str, list[str]] = {}
    for word in sorted(words, key=len, reverse=True):
        rests.setdefault(word[0], []).append(re.escape(word[1:]))
    return "|".join(
        f"{re.escape(first)}(?:{'|'.join(rest)})" if rest != [""] else re.escape(first)
        for first, rest in rests.items()
    )
