"""Alignment: when each character of a text is heard, spread over the duration of its audio."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise

from voxcpm_openai.session.shape import inside_character
from voxcpm_openai.text.cuts import weigh

TOLERANCE = 0.0005
"""Seconds by which a time may be off: clients count in milliseconds."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Characters, one by one as they were appended, with starts and durations in milliseconds.

    The starts are relative to the audio that the alignment is of.
    """

    characters: str = ""
    starts_ms: tuple[int, ...] = ()
    durations_ms: tuple[int, ...] = ()


def align(text: str, seconds: float, start: float = 0.0) -> Alignment:
    """Spread a text over ``seconds`` from ``start`` on; a wide character counts as three."""
    places = [round(1000 * (start + at)) for at in _times(text, seconds)]
    durations = tuple(after - before for before, after in pairwise(places))
    return Alignment(text, tuple(places[:-1]), durations)


def length_heard(text: str, seconds: float, played: float) -> int:
    """Return how many characters of a text of this duration are heard once it was played so far.

    What a person sees as one character is heard as a whole or not at all.
    """
    length = bisect_right(_times(text, seconds), played + TOLERANCE) - 1
    while inside_character(text, length):
        length -= 1
    return max(0, length)


class Progress:
    """Which characters of a passage are heard in each part of its audio, while that is made.

    The duration of the passage is only expected; what is left at its end goes to the last part.
    """

    def __init__(self, text: str, expected: float) -> None:
        """``expected``: seconds, above zero."""
        self._text = text
        self._times = _times(text, expected)
        self._done = 0

    def take(self, made: float) -> str:
        """Return the characters of the part that ends ``made`` seconds after the beginning."""
        # The last character waits for the last part.
        length = min(bisect_right(self._times, made) - 1, len(self._text) - 1)
        while inside_character(self._text, length):
            length -= 1
        start, self._done = self._done, max(self._done, length)
        return self._text[start : self._done]

    def rest(self) -> str:
        """Return the characters that are left."""
        start, self._done = self._done, len(self._text)
        return self._text[start:]


def _times(text: str, seconds: float) -> list[float]:
    """Return when each character begins, and when the last one ends."""
    sums = [0, *accumulate(map(weigh, text))]
    return [seconds * total / max(1, sums[-1]) for total in sums]
