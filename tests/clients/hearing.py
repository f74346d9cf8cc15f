"""The text that the clients send, and a listener that checks the audio they receive."""

from __future__ import annotations

import numpy as np

from tests.support.recogniser import SENTENCES, Recogniser, word_error_rate

THREE = SENTENCES[3:6]
TEXT = " ".join(THREE)
"""Thirty words in three sentences; the recogniser gets them all from the stock voice alloy."""
WRONG_WORDS = 2


def tokens(text: str = TEXT) -> list[str]:
    """Return the text as a language model streams it: words with the space before them."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


class Hearing:
    """Checks audio for the whole text, by a recogniser."""

    def __init__(self, *, together: float, apart: float) -> None:
        """``together``: how many seconds the text takes; ``apart``: its sentences alone."""
        pause = (together - apart) / (len(THREE) - 1)
        self._shortest, self._longest = apart * 0.97, (together + pause) * 1.01
        self._recogniser = Recogniser()

    def check(self, pcm: bytes, rate: int) -> None:
        """Check that 16-bit mono audio at ``rate`` Hz says the text, once and in order."""
        assert pcm
        assert len(pcm) % 2 == 0
        assert self._shortest < len(pcm) / 2 / rate < self._longest
        heard = self.words(pcm, rate)
        assert word_error_rate([TEXT], [heard]) <= WRONG_WORDS / len(TEXT.split()), heard

    def words(self, pcm: bytes, rate: int) -> str:
        """Return the words in 16-bit mono audio at ``rate`` Hz, in lower case."""
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        return self._recogniser.words(samples, rate)
