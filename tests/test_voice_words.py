"""The words of a clip that came without them."""

from __future__ import annotations

from dataclasses import replace

from flask.testing import FlaskClient

from tests.uploads import (
    JANE,
    added,
    engine_of,
    error_of,
    send,
    speak,
)
from voxcpm_openai import InvalidRequest
from voxcpm_openai.voices.clip import Clip
from voxcpm_openai.web.state import state_of


class Words:
    """Stands for the transcribers."""

    def __init__(self, answer: str | InvalidRequest) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def words(self, clip: Clip, language: str = "") -> str:
        self.asked.append(language)
        if isinstance(self.answer, InvalidRequest):
            raise self.answer
        return self.answer


def with_words(client: FlaskClient, answer: str | InvalidRequest) -> Words:
    app = client.application
    words = Words(answer)
    app.extensions["voxcpm_openai"] = replace(state_of(client.application), transcripts=words)  # type: ignore[arg-type]
    return words


def test_the_words_are_found_where_the_engine_needs_them(shared: FlaskClient) -> None:
    engine_of(shared).needs_transcript = True
    words = with_words(shared, "What was\nsaid.")
    speak(shared, added(shared, JANE, language="en-US"), JANE)
    assert engine_of(shared).spoken[-1].voice.transcript == "What was said."
    assert words.asked == ["en"]


def test_words_that_were_sent_are_not_looked_for(shared: FlaskClient) -> None:
    engine_of(shared).needs_transcript = True
    words = with_words(shared, "other words")
    speak(shared, added(shared, JANE, transcript="The words."), JANE)
    assert engine_of(shared).spoken[-1].voice.transcript == "The words."
    assert words.asked == []


def test_nobody_to_find_the_words_is_a_400_where_they_are_needed(shared: FlaskClient) -> None:
    engine_of(shared).needs_transcript = True
    with_words(shared, InvalidRequest("no transcriber", param="transcript"))
    assert error_of(send(shared, JANE)) == (400, "transcript", None)


def test_an_engine_that_needs_no_words_takes_a_clip_without(shared: FlaskClient) -> None:
    words = with_words(shared, InvalidRequest("no transcriber", param="transcript"))
    added(shared, JANE)
    assert words.asked == []
