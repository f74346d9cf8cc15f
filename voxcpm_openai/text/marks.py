"""Marks in a text: pauses, rates and pronunciations, as characters that no client can send."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 0xF0000
"""The first private character that stands for a mark.  ``clean`` removes those of a client."""
MAX_MARKS = 0xFFFE
"""The number of such characters; further marks are ignored."""

MARK = "\U000f0000-\U000ffffd"
"""All of them, as the inside of a regex class."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause, in seconds."""

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


class Marks:
    """The marks of one text.  Each stands in it as one character."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def add(self, mark: Mark) -> str:
        """Return the character that stands for a mark; empty if there are too many."""
        if len(self._marks) == MAX_MARKS:
            return mark.text if isinstance(mark, Phonemes) else ""
        self._marks.append(mark)
        return chr(FIRST + len(self._marks) - 1)

    def get(self, char: str) -> Mark | None:
        """Return the mark that a character stands for, or None if it is no mark."""
        number = ord(char) - FIRST
        return self._marks[number] if 0 <= number < len(self._marks) else None

    def plain(self, text: str) -> str:
        """Return a text without marks; pronunciations become the text that they are for."""
        return "".join(
            (mark.text if isinstance(mark, Phonemes) else "") if (mark := self.get(char)) else char
            for char in text
        )
