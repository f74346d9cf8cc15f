"""Speech recognition (pocketsphinx) and the word error rate."""

from __future__ import annotations

import re

import jiwer
import numpy as np
import numpy.typing as npt
import soxr
from pocketsphinx import Decoder

RATE = 16_000
LEAD = np.zeros(RATE // 5, np.float32)
"""Silence around the speech, 0.2 s: without it the first word is often missed."""

SENTENCES = (
    "The train to the city leaves at nine in the morning.",
    "She put a cup of tea and some bread on the table.",
    "We walked along the river until it began to rain.",
    "My brother works in a small office near the station.",
    "Please close the door when you leave the house.",
    "They have lived in this country for more than ten years.",
    "The doctor said that he should stay in bed for a week.",
    "There were many people in the street yesterday evening.",
    "I would like to buy a new book about the history of music.",
    "The children are playing in the garden behind the school.",
)
"""Ten plain sentences for the recogniser."""


class Recogniser:
    """Transcribes US English with a general vocabulary.  Not thread-safe."""

    def __init__(self) -> None:
        self._decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def words(self, samples: npt.NDArray[np.float32], rate: int) -> str:
        """Return the words in mono samples of shape (n,) at ``rate`` Hz, in lower case."""
        padded = np.concatenate([LEAD, soxr.resample(samples, rate, RATE), LEAD])
        pcm = (np.clip(padded, -1, 1) * 32767).astype("<i2").tobytes()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return plain(hypothesis.hypstr) if hypothesis else ""


def plain(text: str) -> str:
    """Return the bare words of a text, in lower case."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def word_error_rate(expected: list[str], recognised: list[str]) -> float:
    """Return wrong, missing and added words as a share of the expected words (0 is perfect)."""
    return float(
        jiwer.wer([plain(text) for text in expected], [plain(text) for text in recognised])
    )
