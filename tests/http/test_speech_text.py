"""What is said: ``POST /v1/audio/speech/text``, words for engines that want them, SSML."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.web.app_context import context_of

TEXT = "/v1/audio/speech/text"
SPEECH = "/v1/audio/speech"


@pytest.fixture
def wordy(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tone engine, which wants words."""
    engine = context_of(app).engine.get()
    can = dataclasses.replace(engine.capabilities, spoken_text=True, phonemes=True)
    monkeypatch.setattr(engine, "capabilities", can)
    return engine


def shown(client: FlaskClient, **body: object) -> Any:
    reply = client.post(TEXT, json=body)
    assert reply.status_code == 200, reply.get_json()
    return reply.get_json()


def test_the_text_is_shown_as_it_is_written_for_an_engine_that_reads_it(
    client: FlaskClient,
) -> None:
    assert shown(client, input="**It** costs $5. Yes.") == {
        "language": "en",
        "segments": [
            {"text": "It costs $5.", "pause": 0.35},
            {"text": "Yes.", "pause": 0.0},
        ],
    }


def test_the_words_are_shown_for_an_engine_that_wants_words(
    client: FlaskClient, wordy: Any
) -> None:
    (segment,) = shown(client, input="It costs $5.")["segments"]
    assert segment == {"text": "It costs $5.", "spoken": "It costs five dollars.", "pause": 0.0}


def test_the_words_are_what_the_engine_gets(client: FlaskClient, wordy: Any) -> None:
    said = shown(client, input="It costs $5. No. 7 is <phoneme ph='tuː'>2</phoneme>.")
    reply = client.post(SPEECH, json={"model": "tone", "input": "It costs $5. No. 7 is 2."})
    assert reply.status_code == 200
    reply.get_data()
    got = [segment.text for segment in wordy.utterances[-1].segments]
    assert got == [segment["spoken"] for segment in said["segments"]]
    assert got == ["It costs five dollars.", "Number seven is two."]
    assert said["segments"][1]["pronunciations"] == [{"start": 16, "end": 19, "ipa": "tuː"}]


def test_normalize_makes_words_for_an_engine_that_reads_digits(client: FlaskClient) -> None:
    (segment,) = shown(client, input="It costs $5.", normalize=True)["segments"]
    assert segment["spoken"] == "It costs five dollars."


@pytest.mark.parametrize(
    ("wants_words", "fields", "ignored"),
    [
        (False, {"normalize": True}, None),
        (False, {"normalize": False}, None),
        (False, {"normalize": True, "input": "Käse", "language": "en"}, None),
        (False, {"language": "en"}, "language"),
        (True, {"normalize": False}, "normalize"),
        (True, {"language": "en-GB"}, None),
        (True, {"language": "de"}, "language"),
    ],
)
def test_a_field_that_changes_nothing_is_reported(
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    wants_words: bool,
    fields: dict[str, object],
    ignored: str | None,
) -> None:
    engine = context_of(app).engine.get()
    can = dataclasses.replace(engine.capabilities, spoken_text=wants_words)
    monkeypatch.setattr(engine, "capabilities", can)
    reply = client.post(SPEECH, json={"model": "tone", "input": "Hi.", **fields})
    assert reply.status_code == 200
    assert reply.headers.get("x-voxcpm-ignored") == ignored


@pytest.mark.parametrize("wrong", ["yes", 1, "true"])
def test_normalize_is_a_boolean(client: FlaskClient, wrong: object) -> None:
    reply = client.post(TEXT, json={"input": "Hi.", "normalize": wrong})
    assert reply.status_code == 400
    assert reply.get_json()["error"]["param"] == "normalize"


@pytest.mark.parametrize(
    ("field", "status"), [("model", 404), ("response_format", 400), ("voice", 400)]
)
def test_an_unknown_name_is_refused_as_in_a_speech_request(
    client: FlaskClient, field: str, status: int
) -> None:
    body = {"model": "tone", "input": "Hi.", field: "nothing"}
    replies = [client.post(path, json=body) for path in (TEXT, SPEECH)]
    assert [reply.status_code for reply in replies] == [status, status]
    assert replies[0].get_json() == replies[1].get_json()


def test_fields_without_effect_are_named(client: FlaskClient) -> None:
    reply = client.post(TEXT, json={"input": "Hi.", "language": "en", "odd": 1})
    assert reply.headers["x-voxcpm-ignored"] == "language, odd"
    assert "x-voxcpm-ignored" not in client.post(TEXT, json={"input": "Hi."}).headers


def test_ssml_reaches_the_engine(app: Flask, client: FlaskClient) -> None:
    text = "<speak><break time='1s'/>Hi <prosody rate='200%'>you there.</prosody></speak>"
    reply = client.post(SPEECH, json={"model": "tone", "input": text, "response_format": "pcm"})
    engine: Any = context_of(app).engine.get()
    assert reply.status_code == 200
    samples = len(reply.get_data()) / 2
    assert [s.text for s in engine.utterances[-1].segments] == ["Hi", "you there."]
    assert engine.utterances[-1].tempo == 2.0
    assert samples == pytest.approx(24_000 + 3 * 3840 * 1.5, rel=0.03)


def test_the_lexicon_of_a_request_is_applied(client: FlaskClient, wordy: Any) -> None:
    rules = {"Nguyen": "win", "tomato": {"ipa": "təˈmɑːtoʊ"}}
    said = shown(client, input="Nguyen has 2 tomato.", lexicon=rules)
    (segment,) = said["segments"]
    assert segment["text"] == "win has 2 tomato."
    assert segment["spoken"] == "win has two tomato."
    assert segment["pronunciations"] == [{"start": 12, "end": 18, "ipa": "təˈmɑːtoʊ"}]


def test_an_alias_may_make_a_foreign_name_speakable(client: FlaskClient) -> None:
    assert client.post(TEXT, json={"input": "東京 is big."}).status_code == 400
    said = shown(client, input="東京 is big.", lexicon={"東京": "Tokyo"})
    assert said["segments"][0]["text"] == "Tokyo is big."


def test_a_few_letters_of_another_script_are_spoken(client: FlaskClient) -> None:
    said = shown(client, input="The word 猫 means cat.")
    assert said["segments"][0]["text"] == "The word Mao means cat."
    reply = client.post(TEXT, json={"input": "你好，世界"})
    assert reply.status_code == 400
    assert "Chinese" in reply.get_json()["error"]["message"]


def test_a_lexicon_cannot_make_a_text_of_any_length(client: FlaskClient) -> None:
    reply = client.post(TEXT, json={"input": "a " * 2000, "lexicon": {"a": "b" * 200}})
    assert reply.status_code == 400
    assert reply.get_json()["error"]["param"] == "lexicon"


@pytest.mark.parametrize("text", ["", "🎉", "***", "<", "¹", "<break time='1s'/>"])
def test_a_text_with_nothing_to_speak_is_refused(client: FlaskClient, text: str) -> None:
    reply = client.post(TEXT, json={"input": text})
    assert reply.status_code == 400
    assert reply.get_json()["error"]["param"] == "input"


def test_a_normalizer_that_fails_does_not_fail_the_request(
    app: Flask, client: FlaskClient, wordy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_text: str) -> str:
        raise ValueError

    monkeypatch.setattr("voxcpm_openai.english.words.to_words", failing)
    context_of(app).normalizers._started.clear()
    reply = client.post(SPEECH, json={"model": "tone", "input": "It costs $5."})
    assert reply.status_code == 200
    assert wordy.utterances[-1].segments[0].text == "It costs ."


def test_the_language_of_the_voice_is_that_of_latin_letters(app: Flask) -> None:
    context = context_of(app)
    can = dataclasses.replace(context.engine.get().capabilities, languages=())
    for code, expected in (("de", "de"), ("zh", "en"), ("", "en"), ("fr-CA", "fr")):
        voice = dataclasses.replace(context.voices.get("alloy"), language=code)
        request = SpeechRequest(model="tone", input="Hallo.")
        assert context.resolver.plan_text(request, voice, can).language == expected
