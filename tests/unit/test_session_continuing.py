"""Sessions of engines that continue: each passage goes on from the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.sessions import Sessions, audio, segments_of
from voxcpm_openai.contracts import Utterance
from voxcpm_openai.errors import InvalidRequest, SynthesisFailed
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.session import PassageEnded, SessionEnded, SessionFailed
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.mock_runner import MockRunner
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine, ToneStream

TEXT = "Hello there. How are you? I am fine."


class ContinuingStream(ToneStream):
    """Its continuation is the number of streams so far; before its end there is none."""

    def __init__(self, engine: ToneEngine, utterance: Utterance) -> None:
        super().__init__(engine, utterance)
        self.ended = False
        self.number = len(engine.utterances)

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except StopIteration:
            self.ended = not self.closed.is_set()
            raise

    @property
    def continuation(self) -> object:
        assert self.ended, "a stream was asked for its continuation that has not ended by itself"
        return self.number


class ContinuingEngine(ToneEngine):
    """Refuses a text with the word ``refused``."""

    capabilities = replace(ToneEngine.capabilities, continues=True)
    stream: Any = ContinuingStream

    def synthesize(self, utterance: Utterance) -> Any:
        if "refused" in utterance.segments[0].text:
            raise InvalidRequest("refused", param="input")
        super().synthesize(utterance).close()
        self.open += 1
        return self.stream(self, utterance)


def sessions_of(engine: ToneEngine, settings: Settings) -> Iterator[Sessions]:
    sessions = Sessions(engine, settings, "tone")
    with sessions.assert_freed():
        yield sessions


@pytest.fixture
def sessions(tone_settings: Settings) -> Iterator[Sessions]:
    yield from sessions_of(ContinuingEngine(), tone_settings)


def given(sessions: Sessions) -> list[object]:
    """Return what each stream of the engine went on from."""
    assert isinstance(sessions.engine, ToneEngine)
    return [utterance.continuation for utterance in sessions.engine.utterances]


def test_each_passage_goes_on_from_the_one_before(sessions: Sessions) -> None:
    assert sessions.said(TEXT)[-1] == SessionEnded()
    assert given(sessions) == [None, 1, 2]


def test_a_new_session_starts_anew(sessions: Sessions) -> None:
    sessions.said("Hello there. ")
    sessions.said("Hello there. ")
    assert given(sessions) == [None, None]


def test_a_passage_with_nothing_to_say_keeps_the_last_continuation(sessions: Sessions) -> None:
    events = sessions.said("Hello there. 😀😀 \n\nGood. ***")
    assert len([event for event in events if isinstance(event, PassageEnded)]) > 2
    assert given(sessions) == [None, 1]


def test_a_passage_that_the_engine_refuses_leaves_nothing(sessions: Sessions) -> None:
    sessions.said("It is refused. Hello there. How are you? ")
    assert given(sessions) == [None, 1]


def test_a_cancelled_stream_is_not_asked(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append(TEXT)
        next(session)
        next(session)
        session.cancel()
        assert list(session) == []


def test_an_engine_without_the_capability_is_given_nothing(tone_settings: Settings) -> None:
    for sessions in sessions_of(ToneEngine(), tone_settings):
        sessions.said(TEXT)
        assert given(sessions) == [None, None, None]


@pytest.mark.parametrize(
    "stream",
    [
        type("Broken", (ContinuingStream,), {"continuation": property(lambda _: 1 / 0)}),
        ToneStream,  # has none
    ],
)
def test_an_engine_that_breaks_its_promise_is_named(tone_settings: Settings, stream: Any) -> None:
    engine = ContinuingEngine()
    engine.stream = stream
    sessions = Sessions(engine, tone_settings, "tone")
    (*_, failed) = sessions.said(TEXT)
    assert isinstance(failed, SessionFailed)
    assert isinstance(failed.error, SynthesisFailed)
    assert "ContinuingEngine" in failed.error.message


class Lengths(MockRunner):
    """Makes as many patches as a text has words."""

    sample_rate = 8_000

    def prepare_segment(self, utterance: Any, segment: Any) -> Any:
        text = f"length:{len(segment.text.split())}"
        return super().prepare_segment(utterance, SimpleNamespace(text=text))


class RecordingEngine(BatchedEngine):
    """Keeps the utterances."""

    def __init__(self, runner: MockRunner) -> None:
        super().__init__(runner, rows_per_step=4, max_waiting=100, max_wait=1e9)
        self.utterances: list[Utterance] = []

    def synthesize(self, utterance: Utterance) -> Any:
        self.utterances.append(utterance)
        return super().synthesize(utterance)


@pytest.mark.parametrize(("voice", "clip"), [("mute", False), ("coral", True)])
def test_a_session_of_the_batched_engine_makes_what_one_request_makes(
    tone_settings: Settings, voice: str, clip: bool
) -> None:
    runner = Lengths(4)
    engine = RecordingEngine(runner)
    sessions = Sessions(engine, tone_settings, "voxcpm")
    with sessions.assert_freed():
        assert audio(sessions.said(TEXT, voice=voice, seed=7))
    parts = admitted(runner)
    first, segments = engine.utterances[0], segments_of(engine.utterances)
    assert (first.voice.audio is not None) == clip
    assert len(engine.utterances) == len(segments) == len(parts) == 3
    list(engine.synthesize(replace(first, segments=segments)))
    assert admitted(runner) == parts
    assert [continuation is None for _, _, continuation in parts] == [True, clip, clip]
    engine.stop()


def admitted(runner: MockRunner) -> list[tuple[int, int, object]]:
    """Return the segments that the runner got since the last call, with what made their audio."""
    got = sorted((job.index, job.seed, continuation) for job, continuation in runner.admitted)
    runner.admitted.clear()
    return got
