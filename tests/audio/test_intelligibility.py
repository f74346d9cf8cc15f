"""The stock voices on hibari: speech recognition gets the words, speaker embeddings differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.recogniser import SENTENCES, Recogniser, word_error_rate
from tests.support.speaker import embed
from tests.support.stock import hibari_voices, load_plugin, say
from voxcpm_openai import Samples, Settings

VOICES = hibari_voices()
NAMES = [
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
    *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
]
"""All of OpenAI's."""

Speech = dict[str, list[Samples]]


@pytest.fixture(scope="module")
def speech() -> Speech:
    """The ten sentences in every voice."""
    engine = load_plugin("embedded_engine").start(Settings(threads=1))
    return {
        name: [say(engine, VOICES[name], text, seed) for seed, text in enumerate(SENTENCES)]
        for name in NAMES
    }


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser()


@pytest.mark.parametrize("name", NAMES)
def test_the_words_are_intelligible(name: str, speech: Speech, recogniser: Recogniser) -> None:
    recognised = [recogniser.words(samples, 24_000) for samples in speech[name]]
    allowed = 0.10 if name == "alloy" else 0.15
    assert word_error_rate(list(SENTENCES), recognised) <= allowed, recognised


def test_the_recogniser_fails_on_reversed_speech(speech: Speech, recogniser: Recogniser) -> None:
    backwards = [recogniser.words(samples[::-1].copy(), 24_000) for samples in speech["alloy"][:2]]
    assert word_error_rate(list(SENTENCES[:2]), backwards) > 0.8


def test_every_voice_is_recognised_by_other_sentences(speech: Speech) -> None:
    halves = [np.concatenate(speech[name][half::2]) for half in (0, 1) for name in NAMES]
    known, unknown = np.split(embed(halves, 24_000), 2)  # (13, 256) each
    likeness = unknown @ known.T  # (13, 13)
    for table in (likeness, likeness.T):
        assert [NAMES[best] for best in table.argmax(axis=1)] == NAMES


def loudness(parts: list[Samples]) -> Any:
    """Return the RMS in dB."""
    return 10 * np.log10(np.mean(np.concatenate(parts) ** 2))


@pytest.mark.parametrize("name", NAMES)
def test_all_voices_are_equally_loud_and_do_not_clip(name: str, speech: Speech) -> None:
    assert loudness(speech[name]) == pytest.approx(loudness(speech["alloy"]), abs=1.5)
    assert max(np.abs(samples).max() for samples in speech[name]) < 0.9
