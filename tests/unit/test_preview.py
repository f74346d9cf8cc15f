"""BatchSynthesis: several utterances synthesized side by side."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from voxcpm_openai import InvalidRequest, Segment, Unavailable, Utterance, Voice
from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine
from voxcpm_openai.voices.preview import BatchSynthesis

TIMEOUT = 10


def utterance(text: str) -> Utterance:
    return Utterance((Segment(text),), Voice("x", "X"))


class WatchedEngine(ToneEngine):
    """Sets an event when a stream hangs."""

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


def test_each_utterance_is_returned_with_its_audio() -> None:
    utterances = [utterance("one"), utterance("two"), utterance("three")]
    clips = BatchSynthesis(ToneEngine(), utterances, 2).synthesize_all()
    assert [utterance for utterance, _ in clips] == utterances
    assert all(clip.seconds == pytest.approx(0.48) for _, clip in clips)


def test_the_first_error_ends_the_other_streams(pool: ThreadPoolExecutor) -> None:
    engine = WatchedEngine()
    batch = BatchSynthesis(engine, [utterance("hang"), utterance("fail-early")], 2)
    try:
        with pytest.raises(Unavailable):
            pool.submit(batch.synthesize_all).result(TIMEOUT)
    finally:
        batch.cancel()  # otherwise a failure would block the pool forever
    assert engine.open == 0


def test_cancel_ends_a_stream_that_hangs(pool: ThreadPoolExecutor) -> None:
    engine = WatchedEngine()
    batch = BatchSynthesis(engine, [utterance("hang"), utterance("hang")], 1)
    waiting = pool.submit(batch.synthesize_all)
    assert engine.hangs.wait(TIMEOUT)
    batch.cancel()
    with pytest.raises(ClientLeft):
        waiting.result(TIMEOUT)
    assert engine.open == 0
    assert len(engine.utterances) == 1  # the second was never started


def test_an_utterance_without_audio_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="no audio"):
        BatchSynthesis(ToneEngine(), [utterance("silent")], 1).synthesize_all()
