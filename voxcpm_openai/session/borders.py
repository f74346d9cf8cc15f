"""Borders: places where a text that still grows may be cut.

Whether it may be cut there depends on a part of the text that is yet to come; see ``Border.known``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxcpm_openai.session.markup import is_open
from voxcpm_openai.session.shape import inside_character, known_shape, shape
from voxcpm_openai.text import clean
from voxcpm_openai.text.abbreviations import NOON
from voxcpm_openai.text.cuts import weigh
from voxcpm_openai.text.script import WIDE
from voxcpm_openai.text.sentences import CLAUSE, CLOSERS, LINE, PARAGRAPH, SENTENCE, sentences

SHORTEST_CLAUSE = 10
"""The lowest weight of a clause that is heard before the rest of its sentence."""

_END = re.compile(
    rf"(?:(?P<wide>[。！？｡][.!?…。！？｡]*+[{CLOSERS}]*+)"
    rf"|(?P<full_stop>(?<![.!?…])\.[{CLOSERS}]*+(?=[\s<»›{WIDE}]))"
    rf"|(?P<mark>[.!?…।॥؟۔]++[{CLOSERS}]*+(?=[\s<»›{WIDE}]))"
    rf"|(?P<clause>[,;:][{CLOSERS}]*+(?=\s)|(?<=\s)[–—-](?=\s)|[，；：—][{CLOSERS}]*+(?=[\s{WIDE}]))"
    rf"|(?P<line>(?<=\S)(?=[^\S\n]*\n)))(?:\s[»›)\]}}](?=\s))?\s*(?=\S)"
)
# What must be known after a border: a character or two of the next word, or the whole of it.
_ONE = re.compile(r"\W{0,12}+\w|\W{13}")
_TWO = re.compile(r"\W{0,12}+\w.|\W{13}", re.DOTALL)
_WORD = re.compile(rf"\W{{0,12}}+(?:[{WIDE}].|\w\S*\s|\w\S{{23}})|\W{{13}}", re.DOTALL)
_WORDS = re.compile(r"\W{0,12}+\w\S*\s+\S+\s+\S+\s|.{48}", re.DOTALL)
_NOON = re.compile(rf"(?<!\w)(?:{NOON.pattern})\.$")
_QUOTED = frozenset("」』）】〕］”")
# What tells whether a Japanese sentence goes on after a closing quote.
_PARTICLE = re.compile(r"[^\n]{6}|[^\n]*\n")
_ENTITY = re.compile(r"&#?\w{1,32};$")
_BLOCK = re.compile(r"(?:[-*+•]|\d{1,9}[.)]|#{1,6})\s")
_HEADING = re.compile(r"\s*#{1,6}\s")


class Kind(enum.Enum):
    """What ends at a border."""

    SENTENCE = enum.auto()
    CLAUSE = enum.auto()
    LINE = enum.auto()


@dataclass(frozen=True, slots=True)
class Border:
    """A place between two characters, and what ends before it.

    ``known``: the length of the text that tells whether it may be cut there.  ``pause``: after the
    text before it, in seconds.
    """

    place: int
    known: int
    kind: Kind
    pause: float


def borders(text: str, start: int = 0) -> Iterator[Border]:
    """Yield the borders after ``start``, up to the first one that depends on text to come."""
    seen = shape(text)
    for end in _END.finditer(seen, start):
        place = end.end()
        known = _known(text, seen, end)
        if known is None:
            return
        if end["line"] is not None:
            kind = Kind.LINE
        else:
            kind = Kind.SENTENCE if end["clause"] is None else Kind.CLAUSE
        newlines = seen.count("\n", end.start(), place)
        pause = {Kind.SENTENCE: SENTENCE, Kind.CLAUSE: CLAUSE, Kind.LINE: LINE}[kind]
        if newlines and kind is Kind.CLAUSE:
            kind, pause = Kind.LINE, LINE
        yield Border(place, known, kind, PARAGRAPH if newlines > 1 else pause)


def _known(text: str, seen: str, end: re.Match[str]) -> int | None:
    """Return the length of the text that tells about a border; None if it is not there yet."""
    place = end.end()
    needed = _TWO if end["full_stop"] is None and end["line"] is None else _WORD
    if end["full_stop"] is not None and _NOON.search(seen[: end.start() + 1][-8:]):
        needed = _WORDS
    if end["wide"] is not None:
        quoted = end["wide"][-1] in _QUOTED and end.end("wide") == place
        needed = _PARTICLE if quoted else _ONE
    found = needed.match(seen, place)
    return known_shape(text, place, found.end()) if found else None


def accepts(text: str, border: Border) -> bool:
    """Return whether a text may be cut at a border of it.

    Only what is ``known`` counts: the answer does not depend on when the question is asked.
    """
    before, after = text[: border.place], text[border.place : border.known]
    if inside_character(text, border.place) or is_open(before):
        return False
    if border.kind is Kind.CLAUSE and not _clause_ends(before, after):
        return False
    if border.kind is Kind.LINE and border.pause != PARAGRAPH and not _line_ends(before, after):
        return False
    if border.kind is Kind.SENTENCE and not _sentence_ends(before, after):
        return False
    return same(before, after)


def same(before: str, after: str) -> bool:
    """Return whether two parts of a text are read as the whole is."""
    return _words(before) + _words(after) == _words(before + after)


def _words(text: str) -> str:
    """Return what is read of a text, without its spaces."""
    return "".join(clean(text).split())


def _clause_ends(before: str, after: str) -> bool:
    """Return whether a clause is long enough to be heard alone, and no part of a number or date."""
    words = before.rstrip()
    if _ENTITY.search(words[-34:]) or after[:1].isdigit():
        return False
    mark = words.rstrip("”’»›」』）】〕］\"')]*_~`").rstrip(",;:–—-，；：").rstrip()
    return sum(map(weigh, mark)) >= SHORTEST_CLAUSE and not mark[-1].isdigit()


def _line_ends(before: str, after: str) -> bool:
    """Return whether a line is a heading or comes before an item: other lines may be wrapped."""
    line = before.rstrip().rpartition("\n")[2]
    return "|" not in line and bool(_BLOCK.match(after) or _HEADING.match(line))


def _sentence_ends(before: str, after: str) -> bool:
    """Return whether a sentence ends with ``before``."""
    seen = shape(before + after)
    ends = (span.end for span in sentences(seen) if span.end <= len(before))
    return any(not seen[end : len(before)].strip() for end in ends)
