"""Takes: utterances spoken side by side, to be kept as clips."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.plugins.tone_engine import ToneEngine
from voxcpm_openai import InvalidRequest, Segment, Unavailable, Utterance, Voice
from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.voices.takes import Takes

TIMEOUT = 10


def utterance(text: str) -> Utterance:
    return Utterance((Segment(text),), Voice("x", "X"))


class WatchedEngine(ToneEngine):
    """Tells when a stream hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = threading.Event()

    @property
    def hanging(self) -> int:
        return self._hanging

    @hanging.setter
    def hanging(self, count: int) -> None:
        self._hanging = count
        if count:
            self.hangs.set()


def test_each_utterance_comes_back_with_its_sound() -> None:
    asked = [utterance("one"), utterance("two"), utterance("three")]
    clips = Takes(ToneEngine(), asked, 2).clips()
    assert [said for said, _ in clips] == asked
    assert all(clip.seconds == pytest.approx(0.48) for _, clip in clips)


def test_one_that_fails_ends_those_that_hang(pool: ThreadPoolExecutor) -> None:
    engine = WatchedEngine()
    takes = Takes(engine, [utterance("hang"), utterance("fail-early")], 2)
    try:
        with pytest.raises(Unavailable):
            pool.submit(takes.clips).result(TIMEOUT)
    finally:
        takes.cancel()  # or the pool would wait for ever
    assert engine.open == 0


def test_cancelling_wakes_whoever_waits(pool: ThreadPoolExecutor) -> None:
    engine = WatchedEngine()
    takes = Takes(engine, [utterance("hang"), utterance("hang")], 1)
    waiting = pool.submit(takes.clips)
    assert engine.hangs.wait(TIMEOUT)
    takes.cancel()
    with pytest.raises(ClientLeft):
        waiting.result(TIMEOUT)
    assert engine.open == 0
    assert len(engine.spoken) == 1  # the second never began


def test_silence_is_no_clip() -> None:
    with pytest.raises(InvalidRequest, match="no sound"):
        Takes(ToneEngine(), [utterance("silent")], 1).clips()
