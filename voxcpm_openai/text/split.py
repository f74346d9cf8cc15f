"""Splitting a text into segments, with the pauses between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from voxcpm_openai.contracts import Segment
from voxcpm_openai.text.cuts import WIDE_WEIGHT, cut, weigh
from voxcpm_openai.text.marks import MAX_PAUSE, Marks, Pause, Phonemes, Rate
from voxcpm_openai.text.sentences import Span, past_space, sentences

LIMIT = 240
"""The highest ``weight`` of a segment."""
FIRST = 120
"""The highest ``weight`` of the first segment, where it can be cut that early."""


@dataclass(slots=True)
class _Reading:
    """A text without its pauses and rates.

    ``text`` keeps pronunciations, ``shape`` has one letter for each.  ``weights``: of each
    character.  ``pauses`` and ``rates``: those before the character of that index.
    """

    text: str = ""
    shape: str = ""
    weights: list[int] = field(default_factory=list)
    pauses: dict[int, float] = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)


def weight(text: str, marks: Marks | None = None) -> int:
    """Return a measure of a text's duration: its characters, each wide one counted as three.

    A pronunciation weighs as much as the text that it is for.
    """
    return sum(_read(text, marks).weights)


def lead(text: str, marks: Marks | None) -> float:
    """Return the pause before the first word, in seconds."""
    if marks is None:
        return 0.0
    seconds = 0.0
    for char in text:
        mark = marks.get(char)
        if isinstance(mark, Pause):
            seconds += mark.seconds
        elif isinstance(mark, Phonemes) or not (mark or char.isspace()):
            break
    return min(seconds, MAX_PAUSE)


def split(
    text: str, marks: Marks | None = None, limit: int = LIMIT, first: int = FIRST
) -> tuple[Segment, ...]:
    """Return the text as segments: sentences; long ones are cut after a clause or between words.

    No segment has a ``weight`` above ``limit``, and the first none above ``first`` if a clause or
    a word ends early enough, for a low latency; a single pronunciation may weigh more.  A segment
    ends at a pause or rate of ``marks``; the former replaces the pause that punctuation gives.
    Only white space, pauses and rates are lost.  See ``lead`` for the pause before the text.
    """
    limit = max(limit, WIDE_WEIGHT)
    first = min(first, limit)
    reading = _read(text, marks)
    spans: list[Span] = []
    for sentence in _at_marks(reading, sentences(reading.shape)):
        room = limit if spans else first
        spans.extend(cut(reading.shape, reading.weights, sentence, room, limit))
    return _segments(reading, _joined(reading, spans, limit, first))


def _read(text: str, marks: Marks | None) -> _Reading:
    """Return a text without its pauses and rates."""
    if marks is None:
        return _Reading(text, text, list(map(weigh, text)))
    reading = _Reading()
    kept: list[str] = []
    shape: list[str] = []
    here = 0
    for char in text:
        mark = marks.get(char)
        if isinstance(mark, Pause):
            seconds = reading.pauses.get(here, 0.0) + mark.seconds
            reading.pauses[here] = min(seconds, MAX_PAUSE)
        elif isinstance(mark, Rate):
            reading.rates[here] = mark.factor
        else:
            spoken = mark.text.strip() if mark else char
            kept.append(char)
            shape.append(spoken[:1] or "a")
            reading.weights.append(max(1, sum(map(weigh, spoken))))
            here = here if shape[-1].isspace() else len(kept)
    reading.text, reading.shape = "".join(kept), "".join(shape)
    return reading


def _at_marks(reading: _Reading, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans, cut at the pauses and rates in them; a pause after one replaces its own."""
    places = sorted({*reading.pauses, *reading.rates} - {0})
    number = 0
    for start, end, pause, _ in spans:
        done = start
        while number < len(places) and places[number] < end:
            place = places[number]
            number += 1
            seconds = reading.pauses.get(place, 0.0)
            # A pause of none does not cut a sentence.
            if place > start and (seconds or place in reading.rates):
                yield Span(done, place, seconds, seconds > 0)
                done = past_space(reading.shape, place, end)
        yield Span(done, end, reading.pauses.get(end, pause), end in reading.pauses)


def _joined(reading: _Reading, spans: Sequence[Span], limit: int, first: int) -> list[Span]:
    """Return the spans; those without letter or digit are joined to a neighbour if they fit."""
    joined: list[Span] = []
    for span in spans:
        before = joined[-1] if joined else None
        room = limit if len(joined) > 1 else first
        if before and _is_joined(reading, before, span) and _fits(reading, before, span, room):
            pause, paused = span.pause, span.paused
            if before.paused:  # the pause is made after the marks that close the sentence
                pause, paused = before.pause + (pause if paused else 0.0), True
            joined[-1] = Span(before.start, span.end, min(pause, MAX_PAUSE), paused)
        else:
            joined.append(span)
    return joined


def _is_joined(reading: _Reading, before: Span, span: Span) -> bool:
    """Return whether a span is joined to the one before, if they fit."""
    fragment = _letter(reading, span) is None
    if before.paused:
        return fragment and _letter(reading, before) is not None
    return fragment or _letter(reading, before) is None


def _fits(reading: _Reading, before: Span, span: Span, room: int) -> bool:
    """Return whether two spans together weigh up to ``room``."""
    length = span.end - before.start  # the first test is the cheap one
    return length <= room and sum(reading.weights[before.start : span.end]) <= room


def _letter(reading: _Reading, span: Span) -> int | None:
    """Return the index of the first letter or digit of a span."""
    letters = (at for at in range(span.start, span.end) if reading.shape[at].isalnum())
    return next(letters, None)


def _segments(reading: _Reading, spans: Sequence[Span]) -> tuple[Segment, ...]:
    """Return the spans as segments."""
    changes = sorted(reading.rates)
    segments = []
    for number, span in enumerate(spans, 1):
        letter = _letter(reading, span)
        known = bisect_right(changes, span.start if letter is None else letter)
        rate = reading.rates[changes[known - 1]] if known else 1.0
        pause = span.pause if span.paused or number < len(spans) else 0.0
        words = " ".join(reading.text[span.start : span.end].split())
        segments.append(Segment(words, pause, rate))
    return tuple(segments)
