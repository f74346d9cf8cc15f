"""Cuts: parts of a sentence that is too long for one segment."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from voxcpm_openai.text.script import WIDE
from voxcpm_openai.text.sentences import CLAUSE, CLOSERS, Span, past_space

WIDE_WEIGHT = 3
"""The weight of a wide character."""
_SHORTEST_TAIL = 20

_WIDE = re.compile(f"[{WIDE}]")
# Where a long sentence can be cut: at the end of a clause, or between words.
_BREAK = re.compile(
    rf"(?P<clause>[,;:!?…،؛][{CLOSERS}]*(?=\s)|[，、；：,;:](?=[{WIDE}])|[，、；：—]|(?<=\s)[–-](?=\s))"
    r"|(?P<word>\s+)"
)


def weigh(char: str) -> int:
    """Return the weight of one character."""
    return WIDE_WEIGHT if char > "\u10ff" and _WIDE.match(char) else 1


def cut(text: str, weights: Sequence[int], sentence: Span, room: int, limit: int) -> Iterator[Span]:
    """Yield the parts of a sentence: the first weighs up to ``room``, others up to ``limit``.

    ``weights``: of each character of the text.
    """
    start, end, pause, paused = sentence
    sums = [0, *accumulate(weights[start:end])]
    if sums[-1] <= room:
        yield sentence
        return
    clauses: list[int] = []
    words: list[int] = []
    for found in _BREAK.finditer(text, start, end):
        if found["clause"]:
            clauses.append(found.end() - start)
        else:
            words.append(found.start() - start)
    at = 0
    while sums[-1] - sums[at] > room:
        place, place_pause = _best(sums, at, room, clauses, words)
        if not place and room < limit:
            room = limit  # no clause or word ends early enough for a short first segment
            continue
        place = place or _in_word(text, start, at, bisect_right(sums, sums[at] + room) - 1)
        yield Span(start + at, start + place, place_pause)
        at, room = past_space(text, start + place, end) - start, limit
    yield Span(start + at, end, pause, paused)


def _best(
    sums: list[int], at: int, room: int, clauses: list[int], words: list[int]
) -> tuple[int, float]:
    """Return where to cut next and the pause there; 0 if nothing ends within ``room``.

    Prefers the end of a clause, unless the part before or after it would be very short; then
    the end of a word.
    """
    here, left = sums[at], sums[-1] - sums[at]
    third = room // 3
    wanted = min(room, max(third, left - _SHORTEST_TAIL))
    earliest = bisect_left(sums, here + third)
    latest = bisect_right(sums, here + wanted) - 1
    clause = _last(clauses, latest)
    if clause > at and clause >= earliest:
        return clause, CLAUSE
    for bound in (latest, bisect_right(sums, here + room) - 1):
        word = _last(words, bound)
        if word > at:
            return word, 0.0
    return 0, 0.0


def _last(places: list[int], bound: int) -> int:
    """Return the last of the sorted ``places`` that is not past ``bound``, or 0."""
    number = bisect_right(places, bound)
    return places[number - 1] if number else 0


def _in_word(text: str, start: int, at: int, place: int) -> int:
    """Return where to cut a word: at ``place`` or up to 8 before, not before a combining mark."""
    for nearby in range(place, max(place - 8, at + 1), -1):
        if not unicodedata.combining(text[start + nearby]):
            return nearby
    return max(place, at + 1)
