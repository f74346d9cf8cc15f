"""Spelled text: characters, digits, telephone numbers and dates, in any language."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

_DIGITS = re.compile(r"\d+")
_GROUP = re.compile(r"\+?[^\W_]+")
_SHORT_YEAR = 69


def say_as(text: str, kind: str, form: str) -> str | None:
    """Return a text as SSML's ``interpret-as`` wants it said; None: as it is written."""
    if kind in ("characters", "spell-out", "verbatim"):
        return ", ".join(_spelled(word) for word in text.split())
    if kind == "digits":
        return _grouped(text, _DIGITS)
    if kind == "telephone":
        return _grouped(text, _GROUP)
    if kind == "date":
        return _date(text, form)
    return None


def _spelled(word: str) -> str:
    """Return the characters of a word, letters in upper case, with spaces between."""
    characters: list[str] = []
    for char in word:
        if characters and unicodedata.combining(char):
            characters[-1] += char
        else:
            upper = char.upper()
            characters.append(upper if len(upper) == 1 else char)
    return " ".join(characters)


def _grouped(text: str, group: re.Pattern[str]) -> str | None:
    """Return the digits with spaces between, and commas between the groups as written."""
    groups = [
        found[0] if found[0].isalpha() else " ".join(_units(found[0]))
        for found in group.finditer(text)
    ]
    return ", ".join(groups) or None


def _units(group: str) -> list[str]:
    """Return the characters of a group; a leading ``+`` stays at its digit."""
    characters = list(group)
    return ["+" + characters[1], *characters[2:]] if group[0] == "+" else characters


def _date(text: str, form: str) -> str | None:
    """Return a date in digits as ISO 8601; None if a part is missing or there is no such day.

    A day and a month without a year become ``month/day``.
    """
    order = "".join(dict.fromkeys(char for char in form if char in "ymd"))
    parts = _DIGITS.findall(text)
    if order == "dm" and len(parts) == 2 and not any(char.isalpha() for char in text):
        day, month = map(int, parts)
        return f"{month}/{day}" if 1 <= month <= 12 and 1 <= day <= 31 else None
    if sorted(order) != ["d", "m", "y"] or any(char.isalpha() for char in text):
        return None
    if len(parts) == 1 and len(parts[0]) == 8:
        sizes = [4 if part == "y" else 2 for part in order]
        ends = [sum(sizes[: number + 1]) for number in range(3)]
        parts = [parts[0][end - size : end] for end, size in zip(ends, sizes, strict=True)]
    if len(parts) != 3 or any(len(part) > 4 for part in parts):
        return None
    values = dict(zip(order, map(int, parts), strict=True))
    year = values["y"]
    if len(parts[order.index("y")]) == 2:
        year += 2000 if year < _SHORT_YEAR else 1900
    try:
        return date(year, values["m"], values["d"]).isoformat()
    except ValueError:
        return None
