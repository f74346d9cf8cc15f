"""The rates of segments and the pause before the first word, as they are sent."""

import numpy as np
import pytest

from tests.support.watched_gate import WatchedGate
from voxcpm_openai.contracts import Samples, Segment, Utterance, Voice
from voxcpm_openai.formats import AudioFormat
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import OutputSpec
from voxcpm_openai.testing.plugins.tone_engine import CHUNK, CHUNKS, RATE, ToneEngine

SEGMENT = CHUNK * CHUNKS / RATE
"""Seconds of a segment of the tone engine."""


class Raw:
    def feed(self, samples: Samples) -> bytes:
        return samples.tobytes()

    def finish(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


def samples(*texts: str, **changes: object) -> Samples:
    raw = AudioFormat("raw", "audio/x", lambda rate: Raw(), lambda rate, asked: rate)
    utterance = Utterance(tuple(map(Segment, texts)), Voice("sine", "Sine"))
    output = OutputSpec(raw, RATE, **changes)
    speech = Speech(ToneEngine(), utterance, output, WatchedGate(1))
    return np.frombuffer(b"".join(speech), np.float32)


def test_each_segment_has_its_own_rate() -> None:
    made = samples("one", "two", "three", rates=(1.0, 2.0, 0.5))
    assert len(made) / RATE == pytest.approx(SEGMENT * (1 + 0.5 + 2), rel=0.03)


def test_the_rate_comes_on_top_of_the_tempo() -> None:
    made = samples("one", "two", tempo=2.0, rates=(1.0, 2.0))
    assert len(made) / RATE == pytest.approx(SEGMENT * (0.5 + 0.25), rel=0.05)


def test_the_slowest_tempo_is_a_quarter() -> None:
    made = samples("one", tempo=0.25, rates=(0.25,))
    assert len(made) / RATE == pytest.approx(SEGMENT * 4, rel=0.05)


def test_the_lead_is_silence_before_the_first_word() -> None:
    made = samples("one", lead=0.5)
    assert len(made) == pytest.approx((0.5 + SEGMENT) * RATE)
    assert not made[: RATE // 2].any()
    assert np.abs(made[RATE // 2 : RATE // 2 + 100]).max() > 0.1


def test_without_rates_nothing_is_stretched() -> None:
    assert len(samples("one", "two")) == 2 * CHUNK * CHUNKS
