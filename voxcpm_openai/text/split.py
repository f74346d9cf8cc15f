"""Splitting a text into segments, with the pauses between them."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from voxcpm_openai.contracts import Segment
from voxcpm_openai.text.script import WIDE

PARAGRAPH, LINE, SENTENCE, CLAUSE = 0.7, 0.45, 0.35, 0.12
"""The pauses, in seconds."""

_WIDE_WEIGHT = 3
_SHORTEST_TAIL = 20
_CLOSERS = "\"'”’»›)\\]}」』】）〕］"
_OPENERS = "\"'“‘«‹(\\[{「『【（¿¡*_—–-"

_WIDE = re.compile(f"[{WIDE}]")
_LINES = re.compile(r"[^\n]+")
# Marks that may end a sentence, with closing quotes and brackets.  Chinese and Japanese marks
# need no space after them.  Because of the lookbehind, each run of marks is matched only once.
_END = re.compile(
    rf"(?<![.!?…])(?P<mark>[.!?…।॥؟۔]++)[{_CLOSERS}]*+(?=\s|$|[{WIDE}])"
    rf"|(?P<wide>[。！？｡][.!?…。！？｡]*)[{_CLOSERS}]*"
)
_WORD = re.compile(r"\S")
_LAST_WORD = re.compile(r"[^\s\"'“‘«(\[{—–/-]*$")
_NEXT_WORD = re.compile(rf"[\s{_OPENERS}]*+(\w{{0,20}})")
# Where a long sentence can be cut: at the end of a clause, or between words.
_BREAK = re.compile(
    rf"(?P<clause>[,;:!?…،؛][{_CLOSERS}]*(?=\s)|[，、；：,;:](?=[{WIDE}])|[，、；：—]|(?<=\s)[–-](?=\s))"
    r"|(?P<word>\s+)"
)

# Never the end of a sentence: a name follows.
_TITLE = re.compile(
    "Dr|Mr|Mrs|Ms|Mx|Prof|Rev|Hon|Gen|Col|Capt|Cpt|Lt|Sgt|Cpl|Maj|Cmdr|Adm|Gov|Sen|Rep|Pres|Supt"
    "|St|Mt|Messrs|Mme|Mlle|Mgr|Msgr|Hr|Fr|Sra|Srta|Dra|Ing|dr|mr|mrs|ms|prof"
)
# Not the end of a sentence before a number.
_NUMBERED = re.compile(
    "No|Nos|Nr|[Vv]ol|[Ff]igs?|Eqs?|eq|Sec|Ch|Art|pp?|[Tt]el|[Ee]xt"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
# The end of a sentence only before a word that starts one: abbreviations such as U.S., J. K.
_ABBREVIATION = re.compile(
    r"(?i:vs|cf|al|ca|approx|inc|ltd|co|corp|jr|sr|dept|univ|assn|bros|ave|blvd|rd|gmbh|bzw|vgl)"
    r"|(?:[^\W\d_]\.)+[^\W\d_]"
)
_STARTER = re.compile(
    "The|This|That|These|Those|There|Then|They|He|She|It|We|You|My|Our|His|Her|Its|Your|Their"
    "|But|And|So|If|When|What|Why|How|Who|Where|While|However|Although|After|Before|Since|Because"
    "|In|On|At|As|For|From|With|Now|Yes|No|Not|One|Some|Many|Most|All|Is|Are|Was|Were|Do|Does|Did"
    "|Can|Could|Will|Would|Should"
)


class _Span(NamedTuple):
    """A part of the text, and the pause after it."""

    start: int
    end: int
    pause: float


def weight(text: str) -> int:
    """Return a measure of a text's duration: its characters, each wide one counted as three."""
    return sum(map(_weight, text))


def split(text: str, limit: int = 240, first: int = 120) -> tuple[Segment, ...]:
    """Return the text as segments: sentences; long ones are cut after a clause or between words.

    No segment has a ``weight`` above ``limit``, and the first none above ``first`` if a clause or
    a word ends early enough, for a low latency.  Only white space is lost.
    """
    limit = max(limit, _WIDE_WEIGHT)
    spans: list[_Span] = []
    for sentence in _sentences(text):
        room = limit if spans else min(first, limit)
        spans.extend(_cut(text, sentence, room, limit))
    spans = _joined(text, spans, limit, min(first, limit))
    return tuple(
        Segment(" ".join(text[start:end].split()), 0.0 if number == len(spans) else pause)
        for number, (start, end, pause) in enumerate(spans, 1)
    )


def _weight(char: str) -> int:
    """Return the weight of one character."""
    return _WIDE_WEIGHT if char > "\u10ff" and _WIDE.match(char) else 1


def _sentences(text: str) -> Iterator[_Span]:
    """Yield the sentences of all lines."""
    lines = [
        (_past_space(text, *m.span()), m.start() + len(m[0].rstrip()))
        for m in _LINES.finditer(text)
        if not m[0].isspace()
    ]
    for number, (start, end) in enumerate(lines):
        following = lines[number + 1][0] if number + 1 < len(lines) else end
        paragraph = text.count("\n", end, following) > 1
        done = start
        for mark in _END.finditer(text, start, end):
            if _ends(text, mark, start, end):
                last = paragraph and mark.end() == end
                yield _Span(done, mark.end(), PARAGRAPH if last else SENTENCE)
                done = _past_space(text, mark.end(), end)
        if done < end:
            yield _Span(done, end, PARAGRAPH if paragraph else LINE)


def _past_space(text: str, start: int, end: int) -> int:
    """Return where the first word of ``text[start:end]`` begins, or ``end``."""
    found = _WORD.search(text, start, end)
    return found.start() if found else end


def _ends(text: str, mark: re.Match[str], start: int, end: int) -> bool:
    """Return whether a mark within the line ``text[start:end]`` ends a sentence."""
    following = _NEXT_WORD.match(text, mark.end(), end)
    next_word = following[1] if following else ""
    if mark["wide"] or not next_word:
        return True
    if next_word[0].islower():
        return False
    return mark["mark"] != "." or _ends_word(
        text[max(start, mark.start() - 24) : mark.start()], next_word
    )


def _ends_word(before: str, next_word: str) -> bool:
    """Return whether a full stop ends a sentence, not an abbreviation or the number of an item.

    ``before``: at most 24 characters of the line before it.
    """
    found = _LAST_WORD.search(before)
    word = found[0] if found else ""
    if _TITLE.fullmatch(word) or (_NUMBERED.fullmatch(word) and next_word[0].isdigit()):
        return False
    if _ABBREVIATION.fullmatch(word) or (len(word) == 1 and word.isupper()):
        return _STARTER.fullmatch(next_word) is not None
    return not (word.isdigit() and len(word) <= 3 and before.strip() == word)


def _cut(text: str, sentence: _Span, room: int, limit: int) -> Iterator[_Span]:
    """Yield the parts of a sentence: the first weighs up to ``room``, others up to ``limit``."""
    start, end, pause = sentence
    weights = [0, *accumulate(map(_weight, text[start:end]))]
    if weights[-1] <= room:
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
    while weights[-1] - weights[at] > room:
        cut, cut_pause = _best(weights, at, room, clauses, words)
        if not cut and room < limit:
            room = limit  # no clause or word ends early enough for a short first segment
            continue
        cut = cut or _cut_word(text, start, at, bisect_right(weights, weights[at] + room) - 1)
        yield _Span(start + at, start + cut, cut_pause)
        at, room = _past_space(text, start + cut, end) - start, limit
    yield _Span(start + at, end, pause)


def _best(
    weights: list[int], at: int, room: int, clauses: list[int], words: list[int]
) -> tuple[int, float]:
    """Return where to cut next and the pause there; 0 if nothing ends within ``room``.

    Prefers the end of a clause, unless the part before or after it would be very short; then
    the end of a word.
    """
    here, left = weights[at], weights[-1] - weights[at]
    third = room // 3
    wanted = min(room, max(third, left - _SHORTEST_TAIL))
    earliest = bisect_left(weights, here + third)
    latest = bisect_right(weights, here + wanted) - 1
    clause = _last(clauses, latest)
    if clause > at and clause >= earliest:
        return clause, CLAUSE
    for bound in (latest, bisect_right(weights, here + room) - 1):
        word = _last(words, bound)
        if word > at:
            return word, 0.0
    return 0, 0.0


def _last(places: list[int], bound: int) -> int:
    """Return the last of the sorted ``places`` that is not past ``bound``, or 0."""
    number = bisect_right(places, bound)
    return places[number - 1] if number else 0


def _cut_word(text: str, start: int, at: int, cut: int) -> int:
    """Return where to cut a word: at ``cut`` or up to 8 before, not before a combining mark."""
    for place in range(cut, max(cut - 8, at + 1), -1):
        if not unicodedata.combining(text[start + place]):
            return place
    return max(cut, at + 1)


def _joined(text: str, spans: list[_Span], limit: int, first: int) -> list[_Span]:
    """Return the spans; those without letter or digit are joined to a neighbour if they fit."""
    joined: list[_Span] = []
    for span in spans:
        if joined:
            whole = _Span(joined[-1].start, span.end, span.pause)
            room = limit if len(joined) > 1 else first
            fragment = _is_fragment(text, span) or _is_fragment(text, joined[-1])
            if (
                fragment
                and whole.end - whole.start <= limit
                and weight(text[whole.start : whole.end]) <= room
            ):
                joined[-1] = whole
                continue
        joined.append(span)
    return joined


def _is_fragment(text: str, span: _Span) -> bool:
    """Return whether a span holds no letter and no digit."""
    return not any(map(str.isalnum, text[span.start : span.end]))
