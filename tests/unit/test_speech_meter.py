"""The speech meter: times, underruns, outcomes."""

from __future__ import annotations

import pytest

from tests.support.clock import Clock
from voxcpm_openai.errors import ClientLeft, InvalidRequest, Overloaded, SynthesisFailed
from voxcpm_openai.metrics.families import Metrics
from voxcpm_openai.metrics.speech_meter import SpeechMeter


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["tts-1"], ["mp3"], "tone")


def value(metrics: Metrics, name: str) -> float:
    samples = [one for family in metrics._registry.collect() for one in family.samples]
    return sum(one.value for one in samples if one.name == f"voxcpm_{name}")


def test_a_chunk_after_the_playout_deadline_is_an_underrun(clock: Clock, metrics: Metrics) -> None:
    with SpeechMeter(metrics, "tts-1", "mp3") as meter:
        for at, seconds in ((1000.5, 1.0), (1001.0, 2.0), (1004.5, 3.0)):
            clock.now = at
            meter.audio(seconds)
        meter.done()
    assert value(metrics, "underrun_seconds_total") == 2.0  # all is played at 1002.5
    assert value(metrics, "speeches_with_underrun_total") == 1
    assert value(metrics, "first_audio_seconds_sum") == 0.5
    assert value(metrics, "real_time_factor_sum") == 1.5  # 4.5 s for 3 s
    assert value(metrics, "audio_seconds_total") == 3.0


def test_pauses_in_streamed_input_text_are_no_underrun(clock: Clock, metrics: Metrics) -> None:
    with SpeechMeter(metrics, "tts-1", "mp3") as meter:
        clock.now = 1030.0
        meter.part(5)
        clock.now = 1030.25
        meter.audio(1.0, live=False)
        meter.part_ended()
        clock.now = 1090.0
        meter.part(5)
        clock.now = 1090.25
        meter.audio(2.0, live=False)
        meter.part_ended()
        meter.done()
    assert value(metrics, "underrun_seconds_total") == 0
    assert value(metrics, "first_audio_seconds_sum") == 0.25
    assert value(metrics, "real_time_factor_sum") == 0.25
    assert value(metrics, "characters_total") == 10


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (ClientLeft(), "cancelled", "client_left"),
        (InvalidRequest("No."), "refused", "http_400"),
        (Overloaded("Full."), "refused", "overloaded"),
        (SynthesisFailed("Broken."), "failed", "synthesis_failed"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
    ],
)
def test_an_error_determines_the_outcome(
    metrics: Metrics, error: Exception, outcome: str, code: str
) -> None:
    logged: list[dict[str, object]] = []
    with (
        pytest.raises(type(error)),
        SpeechMeter(metrics, "tts-1", "mp3", characters=3, on_end=logged.append),
    ):
        raise error
    (facts,) = logged
    assert (facts["outcome"], facts["code"]) == (outcome, code)
    assert value(metrics, "characters_total") == (0 if outcome == "refused" else 3)


def test_it_is_recorded_once_and_cancelled_unless_it_is_done(metrics: Metrics) -> None:
    logged: list[dict[str, object]] = []
    meter = SpeechMeter(metrics, "tts-1", "mp3", on_end=logged.append)
    for _ in range(2):
        with meter:
            pass
    assert [facts["outcome"] for facts in logged] == ["cancelled"]
    assert value(metrics, "speeches_total") == 1
