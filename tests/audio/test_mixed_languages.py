"""A stream of the embedded engine in two languages: one loudness, and no gap between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine, Samples
from voxcpm_openai.embedded.kokoro.loudness import BLOCK, RATE, blocks_of, voiced_level
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest

TEXTS = (
    "The train to the city leaves at nine each day. 请问去火车站怎么走，我们想坐下午三点的火车。",
    "你们昨天晚上为什么没有来参加我的生日聚会呢？ We were waiting for you until ten at night.",
    "She put the letter on the table before she went. 他把那本新买的书放在桌子上就出去了。",
    "图书馆每天早上八点开门，晚上九点关门。 Our old neighbour grows apples in the garden.",
)
WITHOUT_PAUSE = "We take the history of music, 今天天气很好 and then we go home together."
QUIET = 0.01
"""Blocks below this, relative to the loudest, are silent."""
EDGES = 0.1
"""The silence, in seconds, that two pieces have at their ends besides a pause."""


class Speaks:
    """Speaks texts on the embedded engine."""

    def __init__(self, ctx: AppContext, engine: Engine) -> None:
        self._ctx = ctx
        self._engine = engine

    def __call__(self, text: str, voice: str) -> dict[str, list[Samples]]:
        """Return the audio of the segments, by language, in the order of the text."""
        request = SpeechRequest(model="embedded", input=text, voice=voice, seed=1)
        utterance, _ = self._ctx.resolver.resolve(request, self._engine, OPERATOR)
        made: dict[int, list[Samples]] = {}
        with closing(self._engine.synthesize(utterance)) as stream:
            for chunk in stream:
                made.setdefault(chunk.segment, []).append(chunk.samples)
        found: dict[str, list[Samples]] = {}
        for index, samples in made.items():
            language = utterance.segments[index].language
            found.setdefault(language, []).append(np.concatenate(samples))
        return found


@pytest.fixture(scope="module")
def speaks() -> Iterator[Speaks]:
    ctx = AppContext.open(load_settings({"VOXCPM_ENGINE": "embedded"}))
    with ctx.running_engine() as engine:
        yield Speaks(ctx, engine)


@pytest.mark.parametrize("voice", ["alloy", "cedar", "nova", "onyx"])
def test_both_languages_are_equally_loud(speaks: Speaks, voice: str) -> None:
    made = [speaks(text, voice) for text in TEXTS]
    levels = {
        language: voiced_level(np.concatenate([part for one in made for part in one[language]]))
        for language in ("en", "zh")
    }
    assert abs(levels["en"] - levels["zh"]) <= 1, levels


def test_languages_follow_each_other_without_a_gap(speaks: Speaks) -> None:
    parts = speaks(WITHOUT_PAUSE, "alloy")
    assert {language: len(found) for language, found in parts.items()} == {"en": 2, "zh": 1}
    whole = np.concatenate([parts["en"][0], parts["zh"][0], parts["en"][1]])
    assert longest_silence(whole) <= EDGES


def longest_silence(samples: Samples) -> float:
    """Return the seconds of the longest silence."""
    levels = blocks_of(samples)
    sound = np.flatnonzero(levels > QUIET * levels.max())
    return float(np.diff(sound).max() - 1) * BLOCK / RATE
