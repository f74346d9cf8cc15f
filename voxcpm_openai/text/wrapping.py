"""Wrapped lines: those that a page broke are joined; those that the author broke stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from voxcpm_openai.text.marks import SILENT
from voxcpm_openai.text.script import WIDE

_ENDED = re.compile(rf"[.!?…:。！？：][\"'”’)\]]*[{SILENT} ]*$")
_PAUSED = re.compile(rf"[,;，；、—–-][\"'”’)\]]*[{SILENT} ]*$")
_HYPHENED = re.compile(r"([^\W\d_]+)-$")
_WORD = re.compile(r"(?<![^\W\d_])[^\W\d_]++(?:-[^\W\d_]++)?")
_FIRST_LETTERS = re.compile(r"[^\W\d_]+")
_WIDE = re.compile(f"[{WIDE}]")

_PAGE = range(55, 101)
"""The lengths of lines that may be wrapped at the width of a page."""
_COLUMN = range(18, 55)
"""The lengths of lines that may be wrapped at the width of a column."""
_SHORTEST_BLOCK = 3

# The first parts of words that are written with a hyphen wherever they stand.
_COMPOUND = frozenset(
    "well self non ex co half high low long short full part all ever semi anti multi cross first"
    " second third so mid old new north south east west e t x vice great post quasi two three four"
    " five six ten open left right ill light dark world step over under".split()
)


class Line(NamedTuple):
    """A line without its block marks.

    ``raw``: its original length; ``begins``: it does not continue the line before; ``ends``: the
    next line does not continue it.
    """

    text: str
    raw: int
    begins: bool = False
    ends: bool = False


BLANK = Line("", 0, begins=True, ends=True)


def join_wrapped(lines: Sequence[Line]) -> list[str]:
    """Return the lines; those that are one line wrapped at a page or a column are joined.

    A column's lines are joined only where at least three follow each other and each is as full as
    its width allows, since the lines of a poem are not.
    """
    words = set(_WORD.findall("\n".join(line.text for line in lines)))
    columns = _columns(lines)
    joined: list[list[str]] = []
    before = BLANK
    for number, line in enumerate(lines):
        fixed = line.begins or before.ends
        hyphen = None if fixed else _hyphen(before, line)
        page = before.raw in _PAGE and not _ENDED.search(before.text)
        column = number in columns and not _ENDED.search(before.text)
        if hyphen and (page or before.raw in _COLUMN):
            keeps = _keeps_hyphen(before, hyphen, line, words)
            _join_hyphened(joined[-1], line.text, keeps)
        elif fixed or not (page or column):
            joined.append([line.text])
        else:
            wide = _WIDE.match(before.text[-1:]) and _WIDE.match(line.text)
            joined[-1] += ["" if wide else " ", line.text]
        before = line
    return ["".join(parts) for parts in joined]


def _columns(lines: Sequence[Line]) -> set[int]:
    """Return the numbers of the lines that continue the line before, wrapped at a column."""
    continued: set[int] = set()
    start = 0
    for number in range(1, len(lines) + 1):
        if number < len(lines) and not (lines[number].begins or lines[number - 1].ends):
            continue
        if _is_column(lines[start:number]):
            continued.update(range(start + 1, number))
        start = number
    return continued


def _is_column(block: Sequence[Line]) -> bool:
    """Return whether the lines of a block are wrapped at a column.

    No line has room for the first word of the next, and more than half of the breaks are within
    a sentence: no punctuation before, a small letter after.
    """
    width = max(line.raw for line in block)
    if len(block) < _SHORTEST_BLOCK or width not in _COLUMN:
        return False
    within = 0
    for line, following in pairwise(block):
        word = following.text.split(maxsplit=1)[0] if following.text else ""
        if line.raw + 1 + len(word) <= width:
            return False
        punctuated = _ENDED.search(line.text) or _PAUSED.search(line.text)
        within += not punctuated and following.text[:1].islower()
    return within > (len(block) - 1) / 2


def _hyphen(before: Line, line: Line) -> re.Match[str] | None:
    """Return the part of a word before a hyphen at the end of a line, if the next continues it."""
    return _HYPHENED.search(before.text[-60:]) if line.text[:1].islower() else None


def _keeps_hyphen(before: Line, hyphen: re.Match[str], line: Line, words: set[str]) -> bool:
    """Return whether a hyphen at the end of a line belongs to the word.

    ``words``: those of the text, which may have this one elsewhere.  A column breaks words; lines
    of a page are mostly broken at hyphens that are there.
    """
    first = hyphen[1]
    rest = _FIRST_LETTERS.match(line.text[:60])
    if rest is None or f"{first}-{rest[0]}" in words:
        return True
    if first + rest[0] in words:
        return False
    compound = before.text[: -len(hyphen[0])].endswith("-") or first.lower() in _COMPOUND
    return compound or before.raw in _PAGE


def _join_hyphened(parts: list[str], line: str, keeps: bool) -> None:
    """Add a line to one that ends with a hyphen."""
    if not keeps:
        parts[-1] = parts[-1].removesuffix("-")
    parts.append(line)
