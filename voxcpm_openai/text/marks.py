"""Marks in a text: pauses, rates and pronunciations, as characters that no client can send."""

from __future__ import annotations

from dataclasses import dataclass

# The private characters that stand for marks.  ``clean`` removes those of a client.
PAUSE = "\U000f0000-\U000f7fff"
"""The characters of pauses, as the inside of a regex class."""
RATE = "\U000f8000-\U000ffffd"
"""The characters of rates, as the inside of a regex class."""
PHONEMES = "\U00100000-\U0010fffd"
"""The characters of pronunciations, as the inside of a regex class."""
SILENT = PAUSE + RATE
"""The characters that are not spoken, as the inside of a regex class."""
MARK = SILENT + PHONEMES
"""All of them, as the inside of a regex class."""

MAX_PAUSE = 10.0
"""The longest pause that a client may ask for at one place, in seconds."""
MIN_RATE, MAX_RATE = 0.25, 4.0


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause, in seconds, instead of the one that punctuation gives."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Rate:
    """From here on the speech is sped up by this factor."""

    factor: float


@dataclass(frozen=True, slots=True)
class Phonemes:
    """A part of the text, and its pronunciation in IPA."""

    text: str
    ipa: str


Mark = Pause | Rate | Phonemes

_RANGES = {Pause: PAUSE, Rate: RATE, Phonemes: PHONEMES}


class Marks:
    """The marks of one text.  Each stands in it as one character."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}
        self._next = {kind: ord(chars[0]) for kind, chars in _RANGES.items()}

    def add(self, mark: Mark) -> str:
        """Return the character that stands for a mark; its text if there are too many."""
        code = self._next[type(mark)]
        if code > ord(_RANGES[type(mark)][-1]):
            return mark.text if isinstance(mark, Phonemes) else ""
        self._next[type(mark)] = code + 1
        self._marks[chr(code)] = mark
        return chr(code)

    def get(self, char: str) -> Mark | None:
        """Return the mark that a character stands for, or None if it is no mark."""
        return self._marks.get(char)

    def plain(self, text: str) -> str:
        """Return a text without marks; pronunciations become the text that they are for."""
        return "".join(
            (mark.text if isinstance(mark, Phonemes) else "") if (mark := self.get(char)) else char
            for char in text
        )
