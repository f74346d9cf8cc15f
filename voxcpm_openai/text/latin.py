"""Letters of scripts that an engine does not have, written in Latin letters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from voxcpm_openai.text.marks import Marks, Phonemes
from voxcpm_openai.text.script import WIDE, foreign_places

_WIDE = re.compile(f"[{WIDE}]")
_DOUBLE_SPACE = re.compile(r"(?<=\s) +")


def to_latin(text: str, marks: Marks, languages: tuple[str, ...]) -> str:
    """Return a text with the letters of scripts that no language uses in Latin letters.

    What has no Latin form is removed.  ``languages``: ISO 639-1 codes.
    """
    written = _to_latin(text, languages)
    return "".join(_mark_to_latin(char, marks, languages) for char in written)


def _mark_to_latin(char: str, marks: Marks, languages: tuple[str, ...]) -> str:
    mark = marks.get(char)
    if not isinstance(mark, Phonemes):
        return char
    latin = _to_latin(mark.text, languages)
    return char if latin == mark.text or not latin else marks.add(replace(mark, text=latin))


def _to_latin(text: str, languages: tuple[str, ...]) -> str:
    runs = list(_runs(foreign_places(text, languages)))
    if not runs:
        return text
    from anyascii import anyascii

    parts, done = [], 0
    for start, end in runs:
        run = text[start:end]
        latin = anyascii(run).strip()
        if run.lower() == run.upper():  # a script without upper and lower case
            latin = latin.capitalize()
        if latin and _WIDE.match(run):  # a script without spaces
            latin = " " * text[start - 1 : start].isalnum() + latin
            latin += " " * text[end : end + 1].isalnum()
        parts += [text[done:start], latin]
        done = end
    return _DOUBLE_SPACE.sub("", "".join((*parts, text[done:]))).strip(" ")


def _runs(places: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Yield the start and end of each run of places."""
    start = end = -1
    for place in places:
        if place != end:
            if end > start:
                yield start, end
            start = place
        end = place + 1
    if end > start:
        yield start, end
