"""The cutter: a text that comes piece by piece → passages, as soon as they are safe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxcpm_openai.session.blocks import LONG, Block, silent_block
from voxcpm_openai.session.borders import Kind, accepts, borders, same
from voxcpm_openai.session.markup import is_open
from voxcpm_openai.session.shape import inside_character, shape
from voxcpm_openai.text.cuts import WIDE_WEIGHT, cut, weigh
from voxcpm_openai.text.script import WIDE
from voxcpm_openai.text.sentences import (
    CLAUSE,
    LINE,
    PARAGRAPH,
    SENTENCE,
    Span,
    past_space,
    sentences,
)
from voxcpm_openai.text.split import FIRST, LIMIT

AHEAD = 24
"""The weight that must be known beyond the limit before a long sentence is cut."""
_CLAUSE_MARKS = tuple(",;:，；：、—–")
_SPACE = re.compile(r"\s+")
_WIDE = re.compile(f"[{WIDE}]")


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a session's text that is spoken at once, exactly as it was appended.

    ``number`` counts from 0.  ``start``: the index of its first character in the session's text.
    ``pause``: after it, in seconds.  ``silent``: it is a part of a long block that is not read.
    """

    number: int
    start: int
    text: str
    pause: float
    silent: bool = False

    @property
    def end(self) -> int:
        """The index after its last character."""
        return self.start + len(self.text)


class Cutter:
    """Cuts a growing text into passages: sentences, or clauses where nothing is heard yet.

    The passages are a function of the text and of where it was flushed, not of how it was cut when
    it was appended.  Together they are the text.
    """

    def __init__(self) -> None:
        self.pending = ""
        self._number = 0
        self._start = 0
        self._done = 0  # characters of `pending` whose borders have been refused
        self._tries = 1  # of cutting a sentence that is too long, and one
        self._block: Block | None = None  # the block that is passed over
        self._eager = True  # nothing is heard yet: a clause is enough

    def append(self, text: str) -> list[Passage]:
        """Take text; return the passages that it completes."""
        self.pending += text
        return list(self._completed())

    def flush(self, *, last: bool = False) -> list[Passage]:
        """Return all that is there as passages; ``last``: no text follows."""
        passages = list(self._completed(ending="\n"))
        if self.pending:
            pause = 0.0 if last else _pause(self.pending)
            passages.append(self._take(len(self.pending), pause))
        self._eager = True
        return passages

    def _take(self, place: int, pause: float) -> Passage:
        silent = self._block is not None
        passage = Passage(self._number, self._start, self.pending[:place], pause, silent)
        self.pending = self.pending[place:]
        self._number += 1
        self._start += place
        self._done, self._tries = 0, 1
        return passage

    def _completed(self, ending: str = "") -> Iterator[Passage]:
        """Yield what can be cut off; ``ending``: what is known of the text that follows."""
        while True:
            if self._block is not None:
                place, ended = self._block_place(self._block, self.pending + ending)
                if not place:
                    return
                passage = self._take(place, 0.0)
                self._block = None if ended else self._block._replace(content=0)
                yield passage
            elif (found := self._next(self.pending + ending)) is None:
                return
            elif found[0]:
                yield self._take(*found)
                self._eager = False

    def _block_place(self, block: Block, text: str) -> tuple[int, bool]:
        """Return where to cut a block, 0 if not yet, and whether it ends there.

        It is cut at the end of a line, unless it ends.
        """
        known = text[:LONG]
        if found := block.end.search(known, block.content):
            return min(found.end(), len(self.pending)), True
        place = known.rfind("\n") + 1 if len(known) == LONG else 0
        return min(place, len(self.pending)), False

    def _next(self, text: str) -> tuple[int, float] | None:
        """Return where to cut, and the pause there; see ``_early`` for 0."""
        for border in borders(text, self._done):
            if early := self._early(text[: border.known]):
                return early
            if (border.kind is not Kind.CLAUSE or self._eager) and accepts(text, border):
                return border.place, border.pause
            self._done = border.place
        return self._early(text)

    def _early(self, known: str) -> tuple[int, float] | None:
        """Return where to cut a text, and the pause there, though nothing ends there.

        A sentence may be too long, or a block that is not read begins; at 0 if it has begun.
        """
        if forced := self._forced(known[:LONG]):
            return forced
        if len(known) < LONG:
            return None
        if block := silent_block(known[:LONG]):
            self._block = None if block.start else block
            return block.start, _pause(known[: block.start])
        return self._forced(known)

    def _forced(self, known: str) -> tuple[int, float] | None:
        """Return where to cut a sentence of which too much is known, and the pause there.

        It is looked at again after each ``AHEAD`` characters, until it can be cut.
        """
        room = FIRST if self._eager else LIMIT
        if len(known) < room // WIDE_WEIGHT:
            return None
        total = 0
        for length, char in enumerate(known, 1):
            total += weigh(char)
            if total <= room + AHEAD * self._tries:
                continue
            self._tries += 1
            if found := _cut(known[:length], room):
                return found
        return None


def _cut(text: str, room: int) -> tuple[int, float] | None:
    """Return where to cut a text that is too long for ``room``, and the pause there."""
    seen = shape(text)
    weights = list(map(weigh, text))
    wanted = next(cut(seen, weights, Span(0, len(text), 0.0), room, room))
    place = past_space(text, wanted.end, len(text))
    if _is_safe(text, place):
        return place, wanted.pause
    words = [found.end() for found in _SPACE.finditer(text, len(text) // 4, wanted.end)]
    safe = (place for place in reversed(words) if _is_safe(text, place))
    return next(((place, 0.0) for place in safe), None)


def _is_safe(text: str, place: int) -> bool:
    """Return whether a text may be cut between two words."""
    before, after = text[:place].rstrip(), text[place:]
    if not before or not after or inside_character(text, place) or is_open(text[:place]):
        return False
    if not text[place - 1].isspace() and not _WIDE.match(after):
        return False
    if before[-1] in ".-–/" or before[-1].isdigit() or after[0].isdigit():
        return False
    return same(text[:place], after)


def _pause(text: str) -> float:
    """Return the pause at the end of a text after which more may come, in seconds."""
    words = text.rstrip()
    newlines = text.count("\n", len(words))
    if newlines:
        return PARAGRAPH if newlines > 1 else LINE
    seen = shape(words)
    if any(span.pause == SENTENCE and span.end == len(seen) for span in sentences(seen)):
        return SENTENCE
    return CLAUSE if words.endswith(_CLAUSE_MARKS) else 0.0
