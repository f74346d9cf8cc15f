"""Sessions: what is said of a text that comes piece by piece, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.support.sessions import Sessions, audio, segments_of
from voxcpm_openai.errors import (
    InvalidRequest,
    Overloaded,
    RequestError,
    SynthesisFailed,
    Unavailable,
)
from voxcpm_openai.session import (
    AudioMade,
    PassageEnded,
    PassageStarted,
    SessionEnded,
    SessionFailed,
)
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.plugins.tone_engine import CHUNK, CHUNKS, RATE, ToneEngine

PASSAGE = CHUNK * CHUNKS
"""Samples of a segment of the tone engine."""
TEXT = "Hello there. How are you? I am fine."
MAX_INPUT = 90


@pytest.fixture
def sessions(tone_settings: Settings) -> Iterator[Sessions]:
    settings = replace(tone_settings, max_input_chars=MAX_INPUT, max_streams=2)
    sessions = Sessions(ToneEngine(), settings, "tone")
    with sessions.assert_freed():
        yield sessions


def engine_of(sessions: Sessions) -> ToneEngine:
    assert isinstance(sessions.engine, ToneEngine)
    return sessions.engine


def test_each_sentence_is_a_passage_and_all_of_them_are_one_stream(sessions: Sessions) -> None:
    events = sessions.said(TEXT)
    kinds = [type(event) for event in events]
    each = [PassageStarted, *[AudioMade] * CHUNKS, AudioMade, PassageEnded]
    assert kinds == [*each * 3, SessionEnded]
    samples = np.frombuffer(audio(events), "<i2")
    pause = round(0.35 * RATE)
    assert len(samples) == 3 * PASSAGE + 2 * pause
    assert not samples[PASSAGE : PASSAGE + pause].any()
    assert samples[:PASSAGE].any()
    assert samples[PASSAGE + pause :][:PASSAGE].any()


@pytest.mark.parametrize("rest", ["", " \n"], ids=["nothing", "blanks"])
def test_a_text_that_was_flushed_ends_without_a_pause(sessions: Sessions, rest: str) -> None:
    with sessions.open() as session:
        session.append("One two three.")
        session.flush()
        session.append(rest)
        session.finish()
        assert len(audio(session)) == 2 * PASSAGE


def test_the_silence_that_a_request_asks_for_is_around_the_whole_text(sessions: Sessions) -> None:
    events = sessions.said(TEXT, lead_ms=200, tail_ms=500)
    samples = np.frombuffer(audio(events), "<i2")
    lead, tail = round(0.2 * RATE), round(0.5 * RATE)
    assert len(samples) == lead + 3 * PASSAGE + 2 * round(0.35 * RATE) + tail
    assert not samples[:lead].any()
    assert samples[lead : lead + 100].any()
    assert not samples[-tail:].any()
    first = next(event for event in events if isinstance(event, AudioMade))
    assert first.alignment.starts_ms[0] == 200
    assert next(event for event in events if isinstance(event, PassageEnded)).start_ms == 200


def test_a_file_has_one_header(sessions: Sessions) -> None:
    content = audio(sessions.said(TEXT, response_format="wav"))
    assert content.startswith(b"RIFF")
    assert content.count(b"RIFF") == 1


def test_all_passages_have_the_same_voice_seed_and_options(sessions: Sessions) -> None:
    sessions.said(TEXT, seed=7)
    sessions.said(TEXT)
    utterances = engine_of(sessions).utterances
    assert {utterance.seed for utterance in utterances[:3]} == {7}
    drawn = {utterance.seed for utterance in utterances[3:]}
    assert len(drawn) == 1
    assert None not in drawn
    assert {utterance.voice.id for utterance in utterances} == {"alloy"}


def test_the_speed_is_that_of_the_request(sessions: Sessions) -> None:
    slow = len(audio(sessions.said(TEXT, speed=0.5)))
    assert slow == pytest.approx(2 * len(audio(sessions.said(TEXT))), rel=0.1)


def test_the_first_clause_is_said_before_its_sentence_is_there(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append("Well, I think, you")
        started = next(session)
        assert isinstance(started, PassageStarted)
        assert started.passage.text == "Well, I think, "
        assert isinstance(next(session), AudioMade)


def test_a_flush_says_what_is_there(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append("Hello")
        session.flush()
        session.append(" you")
        session.finish()
        passages = [e.passage.text for e in session if isinstance(e, PassageStarted)]
    assert passages == ["Hello", " you"]


def test_a_session_without_text_ends_without_audio(sessions: Sessions) -> None:
    assert sessions.said([]) == [SessionEnded()]
    assert audio(sessions.said([" "])) == b""


def test_a_passage_with_nothing_to_say_is_passed_over(sessions: Sessions) -> None:
    events = sessions.said("Hello there. 😀😀 \n\nGood. ***")
    ended = [e for e in events if isinstance(e, PassageEnded)]
    assert "".join(e.passage.text for e in ended) == "Hello there. 😀😀 \n\nGood. ***"
    texts = [segment.text for segment in segments_of(engine_of(sessions).utterances)]
    assert texts == ["Hello there.", "Good."]


def test_a_block_of_code_after_other_text_is_not_read(sessions: Sessions) -> None:
    sessions.said("Look:\n\n```\na = 1\n```")
    assert [s.text for s in segments_of(engine_of(sessions).utterances)] == ["Look:"]


def test_a_text_that_cannot_be_said_at_all_fails(sessions: Sessions) -> None:
    (*_, failed) = sessions.said("😀")
    assert isinstance(failed, SessionFailed)
    assert isinstance(failed.error, InvalidRequest)
    (*_, failed) = sessions.said("Привет, мир.")
    assert isinstance(failed, SessionFailed)
    assert "Cyrillic" in failed.error.message


def test_a_pause_and_a_rate_of_ssml_are_kept(sessions: Sessions) -> None:
    events = sessions.said("Hello there.<break time='2s'/> <prosody rate='200%'>Go.</prosody>")
    first, second = [e for e in events if isinstance(e, PassageEnded)]
    assert segments_of(engine_of(sessions).utterances)[0].pause == 2.0
    assert second.duration_ms == pytest.approx(first.duration_ms / 2, rel=0.1)


def test_the_times_are_those_of_the_audio(sessions: Sessions) -> None:
    events = sessions.said(TEXT, speed=1.25)
    pieces = [event for event in events if isinstance(event, AudioMade)]
    end = 0
    for piece in pieces:
        assert piece.start_ms == end
        end += piece.duration_ms
        assert len(piece.alignment.characters) == len(piece.alignment.starts_ms)
        if piece.alignment.characters:
            assert sum(piece.alignment.durations_ms) == pytest.approx(piece.duration_ms, abs=1)
    assert end == pytest.approx(len(audio(events)) / 2 / RATE * 1000, abs=1)
    ended = [event for event in events if isinstance(event, PassageEnded)]
    for before, after in pairwise(ended):
        pause = after.start_ms - before.start_ms - before.duration_ms
        assert pause == pytest.approx(350 / 1.25, abs=2)


def test_the_alignments_have_all_characters_in_order(sessions: Sessions) -> None:
    events = sessions.said(TEXT)
    characters = [e.alignment.characters for e in events if isinstance(e, AudioMade)]
    assert "".join(characters) == TEXT
    for event in events:
        if isinstance(event, PassageEnded):
            assert event.alignment.characters == event.passage.text
            assert event.alignment.starts_ms[0] == 0
            assert sum(event.alignment.durations_ms) == event.duration_ms


def test_the_tokens_of_all_passages_are_counted(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append(TEXT)
        session.finish()
        list(session)
        assert (session.usage.input_tokens, session.usage.output_tokens) == (3, 3 * CHUNKS)


# Limits and errors


def test_only_so_much_text_may_wait(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append("One two. " * 10)
        with pytest.raises(InvalidRequest, match="VOXCPM_MAX_INPUT_CHARS"):
            session.append("One two. ")
        assert session.waiting == 90
        while not isinstance(next(session), PassageEnded):
            pass
        session.append("One two. ")  # a long session is as good as many short ones


def test_after_its_end_a_text_cannot_go_on(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.finish()
        with pytest.raises(InvalidRequest, match="ended"):
            session.append("Hello.")


@pytest.mark.parametrize(
    ("word", "error"), [("fail-early", Unavailable), ("fail-late", SynthesisFailed)]
)
def test_an_error_of_the_engine_ends_the_session(
    sessions: Sessions, word: str, error: type[Exception]
) -> None:
    with sessions.open() as session:
        session.append(f"Hello there. It must {word} here. Good. ")
        events = list(session)
        failed = events[-1]
        assert isinstance(failed, SessionFailed)
        assert isinstance(failed.error, error)
        assert sessions.limits.running == 0
        with pytest.raises(error):
            session.append("More.")


def test_a_wrong_field_is_refused_when_a_session_is_opened(sessions: Sessions) -> None:
    for wrong in ({"voice": "nobody"}, {"response_format": "nothing"}, {"model": "nothing"}):
        with pytest.raises(RequestError, match=r"nobody|nothing"):
            sessions.open(**wrong)


# Permits


def test_a_session_holds_a_permit_only_while_it_has_something_to_say(sessions: Sessions) -> None:
    with sessions.open() as session:
        assert sessions.limits.running == 0
        session.append("Hello there. How ")
        next(session)
        next(session)
        assert sessions.limits.running == 1
        session.append("are you? It")
        seen = [next(session) for _ in range(CHUNKS + 1)]
        assert isinstance(seen[-1], PassageEnded)
        next(session)
        assert sessions.limits.running == 1
        session.append(" is.")
        session.finish()
        list(session)
        assert sessions.limits.running == 0


def test_a_session_is_refused_before_its_first_sound(sessions: Sessions) -> None:
    with sessions.limits.enter(), sessions.limits.enter():
        (*_, failed) = sessions.said(TEXT)
    assert isinstance(failed, SessionFailed)
    assert isinstance(failed.error, Overloaded)
