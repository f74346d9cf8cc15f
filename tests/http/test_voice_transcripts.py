"""Transcripts of clips that were added without one."""

from __future__ import annotations

from dataclasses import replace

from flask.testing import FlaskClient

from tests.support.uploads import (
    JANE,
    added,
    engine_of,
    error_of,
    send,
    speak,
)
from voxcpm_openai import InvalidRequest
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.web.app_context import context_of


class FakeTranscriber:
    """Replaces the transcriber."""

    def __init__(self, answer: str | InvalidRequest) -> None:
        self.answer = answer
        self.languages: list[str] = []

    def transcribe(self, clip: Clip, language: str = "") -> str:
        self.languages.append(language)
        if isinstance(self.answer, InvalidRequest):
            raise self.answer
        return self.answer


def with_transcriber(client: FlaskClient, answer: str | InvalidRequest) -> FakeTranscriber:
    transcriber = FakeTranscriber(answer)
    context_of(client.application).transcriber = transcriber
    return transcriber


def need_transcripts(client: FlaskClient) -> None:
    """Let the running engine need the transcripts of clips."""
    engine = engine_of(client)
    engine.capabilities = replace(engine.capabilities, needs_transcript=True)


def test_a_clip_is_transcribed_if_the_engine_needs_it(shared: FlaskClient) -> None:
    need_transcripts(shared)
    transcriber = with_transcriber(shared, "What was\nsaid.")
    speak(shared, added(shared, JANE, language="en-US"), JANE)
    assert engine_of(shared).utterances[-1].voice.transcript == "What was said."
    assert transcriber.languages == ["en"]


def test_a_transcript_that_was_sent_is_kept(shared: FlaskClient) -> None:
    need_transcripts(shared)
    transcriber = with_transcriber(shared, "other words")
    speak(shared, added(shared, JANE, transcript="The words."), JANE)
    assert engine_of(shared).utterances[-1].voice.transcript == "The words."
    assert transcriber.languages == []


def test_without_a_transcriber_a_needed_transcript_is_a_400(shared: FlaskClient) -> None:
    need_transcripts(shared)
    with_transcriber(shared, InvalidRequest("no transcriber", param="transcript"))
    assert error_of(send(shared, JANE)) == (400, "transcript", None)


def test_an_engine_that_needs_no_transcript_has_none_made(shared: FlaskClient) -> None:
    transcriber = with_transcriber(shared, InvalidRequest("no transcriber", param="transcript"))
    added(shared, JANE)
    assert transcriber.languages == []
