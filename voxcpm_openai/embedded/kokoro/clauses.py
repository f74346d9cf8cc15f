"""Cuts the text of a segment into pieces that are synthesized one after the other.

The first piece is short, so that the first sound is early.  Each later one may be half as long
again as the one before: it is made while that is heard, and a synthesizer with a real-time factor
below 2/3 leaves no gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxcpm_openai.embedded import mandarin


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of pieces in characters: the shortest and longest first, the longest of all."""

    least: int
    first: int
    later: int


LENGTHS = {"en": Lengths(10, 28, 180), "zh": Lengths(4, 10, 60), "es": Lengths(10, 28, 180)}
"""By language; a Mandarin character has four or five phonemes, a letter has one."""

_LATIN_END = re.compile(r"[,.;:!?…]+[\"')\]”’]*(?=\s)|\s*—")
_ENDS = {
    "en": _LATIN_END,
    "es": _LATIN_END,
    # A full stop or comma between digits is part of a number.
    "zh": re.compile(r"(?:[，。！？；、：…—;!?]|[,.:](?!\d))+[”’』」）》\"')]*"),
}


def _before(words: str) -> re.Pattern[str]:
    return re.compile(rf"\s(?=(?:{'|'.join(words.split())})\b)", re.IGNORECASE)


_WEAK = {
    "en": _before("and or but to in of on at with for from that which who when because if as"),
    "es": _before("y e o u pero a al en de del con por para sin sobre que cuando porque si como"),
}
# jieba takes "1,228" and "GPT-4" apart.
_LATIN_ENDS = re.compile(r"[0-9A-Za-z][.,:-]?$")
_LATIN_STARTS = re.compile(r"[.,:-]?[0-9A-Za-z]")
_SPACE = re.compile(r"\s")


def cut(text: str, language: str) -> Iterator[str]:
    """Yield the pieces of a text, without white space around them; none for an empty text.

    ``language``: one of ``LENGTHS``.  Pieces end at punctuation, or else between words.
    """
    lengths = LENGTHS[language]
    limit, rest = lengths.first, text.strip()
    while len(rest) > limit:
        at = _place(rest, limit, language)
        if not any(map(str.isalnum, rest[at:])):
            break  # what follows is punctuation only
        yield rest[:at].strip()
        rest, limit = rest[at:].strip(), min(limit + limit // 2, lengths.later)
    if rest:
        yield rest


def _place(text: str, limit: int, language: str) -> int:
    """Return where to cut a text, at most ``limit`` characters from its start."""
    least = LENGTHS[language].least
    # The character after the limit decides whether a mark before it is the end of a clause.
    ends = [found.end() for found in _ENDS[language].finditer(text, 0, limit + 1)]
    for places in (ends, *_between_words(text, limit, language)):
        if good := [place for place in places if least <= place <= limit]:
            return good[-1]
    return limit


def _between_words(text: str, limit: int, language: str) -> Iterator[list[int]]:
    """Yield places to cut where there is no punctuation, the better places first."""
    if language == "zh":
        yield _mandarin_words(text, limit)
        return
    yield [found.start() for found in _WEAK[language].finditer(text, 0, limit + 8)]
    yield [found.start() for found in _SPACE.finditer(text, 0, limit + 1)]


def _mandarin_words(text: str, limit: int) -> list[int]:
    """Return the ends of words, read a few characters further than the limit."""
    places, end = [], 0
    for word in mandarin.words(text[: limit + 8]):
        end += len(word)
        if not (_LATIN_ENDS.search(text[:end]) and _LATIN_STARTS.match(text[end:])):
            places.append(end)
    return [place for place in places if place < len(text[: limit + 8])]  # the last may be cut off
