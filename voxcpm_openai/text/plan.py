"""The plan of a text: from what a client sent to the segments that an engine is asked to say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypedDict

from voxcpm_openai.contracts import Segment
from voxcpm_openai.text.language import language_of
from voxcpm_openai.text.marks import Marks
from voxcpm_openai.text.normalizers import Normalizers, Words
from voxcpm_openai.text.runs import runs
from voxcpm_openai.text.segments import SpokenSegments, for_engine, written
from voxcpm_openai.text.split import FIRST, LIMIT, lead, split


class SegmentParts(TypedDict, total=False):
    """What some segments have: their words, their tempo, the pronunciations in them."""

    spoken: str
    rate: float
    pronunciations: list[dict[str, object]]


class SegmentObject(SegmentParts):
    """A segment as it is written, and the pause after it in seconds."""

    text: str
    pause: float


class PlanParts(TypedDict, total=False):
    """The pause before the first word, in seconds, if there is one."""

    lead: float


class PlanObject(PlanParts):
    """What would be said, segment by segment; the language is empty if it is not known."""

    language: str
    segments: list[SegmentObject]


@dataclass(frozen=True, slots=True)
class TextPlan:
    """What is said.

    ``language`` is an ISO 639-1 code, or empty if it is not known.  ``lead`` is the pause before
    the first word, in seconds.  ``written`` holds the segments as a person would write them,
    ``segments`` as the engine gets them; ``words`` says whether these are words.
    """

    language: str
    lead: float
    written: tuple[Segment, ...]
    segments: Sequence[Segment]
    words: bool

    @property
    def fastest(self) -> float:
        """The highest rate of a segment."""
        return max((segment.rate for segment in self.written), default=1.0)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the segments, in their order; empty where no words are made."""
        return tuple(dict.fromkeys(s.language for s in self.written if s.language))

    def as_json(self) -> PlanObject:
        """Return the plan as JSON values; makes the words of all segments."""
        segments = zip(self.written, self.segments, strict=True)
        shown = [_shown(text, said, self.words) for text, said in segments]
        if self.lead:
            return {"language": self.language, "lead": self.lead, "segments": shown}
        return {"language": self.language, "segments": shown}


def _in_languages(
    pieces: Iterable[Segment], marks: Marks, language: str, *, fixed: bool, mixed: bool
) -> Iterator[Segment]:
    """Yield segments with their languages."""
    for piece in pieces:
        if fixed:
            yield replace(piece, language=language)
        elif mixed:
            yield from runs(piece, language)
        else:
            yield replace(piece, language=language_of(marks.plain(piece.text), language))


def _shown(text: Segment, said: Segment, words: bool) -> SegmentObject:
    shown: SegmentObject = (
        {"text": text.text, "spoken": said.text, "pause": said.pause}
        if words
        else {"text": text.text, "pause": said.pause}
    )
    if said.rate != 1.0:
        shown["rate"] = said.rate
    if said.pronunciations:
        shown["pronunciations"] = [asdict(part) for part in said.pronunciations]
    return shown


def plan(
    text: str,
    marks: Marks,
    *,
    language: str,
    fixed: bool,
    normalizers: Normalizers | None,
    phonemes: bool,
    mixed: bool = False,
    continued: bool = False,
) -> TextPlan:
    """Cut a cleaned text into segments and plan what is said.

    ``language``: that of the request if ``fixed``, else what is assumed of Latin letters.
    ``normalizers``: make words, or None to keep the text as it is written.  ``phonemes``: the
    engine takes pronunciations.  ``mixed``: a segment is cut where Chinese and Latin script meet.
    ``continued``: the text goes on after one that is heard first, so that the first segment need
    not be short.
    """
    pieces = split(text, marks, first=LIMIT if continued else FIRST)
    if normalizers is not None:
        pieces = tuple(_in_languages(pieces, marks, language, fixed=fixed, mixed=mixed))

    def words(segment: Segment) -> Words | None:
        if normalizers is None:
            return None
        return normalizers.get(segment.language)

    def make(segment: Segment) -> Segment:
        return for_engine(segment, marks, words(segment), phonemes=phonemes)

    return TextPlan(
        language=language if fixed else language_of(marks.plain(text), language),
        lead=lead(text, marks),
        written=tuple(written(piece, marks) for piece in pieces),
        segments=tuple(map(make, pieces)) if normalizers is None else SpokenSegments(pieces, make),
        words=normalizers is not None,
    )
