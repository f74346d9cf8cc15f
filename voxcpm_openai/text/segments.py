"""Segments as an engine gets them: words where it wants words, and pronunciations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import overload

from voxcpm_openai.contracts import Pronunciation, Segment
from voxcpm_openai.text.marks import PHONEMES, Marks, Phonemes
from voxcpm_openai.text.normalizers import Words

_PHONEMES = re.compile(f"[{PHONEMES}]")
_TOKEN = re.compile("zq([a-j]+)qz", re.IGNORECASE)
"""Stands for a pronunciation while a normalizer reads the text: a word that it leaves alone."""
_DIGITS = str.maketrans("0123456789", "abcdefghij")
_LETTERS = str.maketrans("abcdefghij", "0123456789")


class SpokenSegments(Sequence[Segment]):
    """Segments that are made when they are first read, each once.

    The first is made before its audio, the others while the audio of those before is played.
    """

    def __init__(self, written: Sequence[Segment], make: Callable[[Segment], Segment]) -> None:
        self._written = written
        self._make = make
        self._made: dict[int, Segment] = {}

    def __len__(self) -> int:
        return len(self._written)

    @overload
    def __getitem__(self, index: int) -> Segment: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Segment]: ...
    def __getitem__(self, index: int | slice) -> Segment | Sequence[Segment]:
        """Return a segment; a slice makes all of its segments."""
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        number = range(len(self))[index]
        if number not in self._made:
            self._made[number] = self._make(self._written[number])
        return self._made[number]


def written(segment: Segment, marks: Marks) -> Segment:
    """Return a segment of ``split`` as a person would write it."""
    return replace(segment, text=marks.plain(segment.text))


def for_engine(segment: Segment, marks: Marks, words: Words | None, *, phonemes: bool) -> Segment:
    """Return a segment of ``split`` as an engine gets it.

    ``words``: makes words of a text, or None to leave it as it is.  Pronunciations become
    ``Segment.pronunciations`` if ``phonemes``, and the text that they are for otherwise.
    """
    found = [mark for c in segment.text if isinstance(mark := marks.get(c), Phonemes)]
    if not found or not phonemes:
        text = marks.plain(segment.text)
        return replace(segment, text=(words(text) or ".") if words else text)
    if words is None:
        return _placed(segment, _PHONEMES.split(segment.text), found)
    numbers = iter(range(len(found)))
    marked = _PHONEMES.sub(lambda _: f"zq{str(next(numbers)).translate(_DIGITS)}qz", segment.text)
    pieces = _TOKEN.split(words(marked))  # text, token, text, ...
    if [int(token.lower().translate(_LETTERS)) for token in pieces[1::2]] != list(
        range(len(found))
    ):
        return for_engine(segment, marks, words, phonemes=False)  # the normalizer took them apart
    made = [_in_words(mark, words) for mark in found]
    return _placed(segment, pieces[::2], made)


def _in_words(mark: Phonemes, words: Words) -> Phonemes:
    """Return a pronunciation whose text is words."""
    return replace(mark, text=words(mark.text) or mark.text)


def _placed(segment: Segment, between: Sequence[str], found: Sequence[Phonemes]) -> Segment:
    """Return a segment of the texts ``between`` the pronunciations and those."""
    text, places = between[0], []
    for mark, following in zip(found, between[1:], strict=True):
        start = len(text)
        text += mark.text
        places.append(Pronunciation(start, len(text), mark.ipa))
        text += following
    return replace(segment, text=text, pronunciations=tuple(places))
