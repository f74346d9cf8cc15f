"""What clients send that is not what OpenAI's reference says, and works all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import started
from voxcpm_openai import Voice, names
from voxcpm_openai.errors import UnknownVoice
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.library import VoiceLibrary
from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
GOOD = {"model": "tts-1", "input": "Hello.", "voice": "alloy", "response_format": "pcm"}
SAMPLES = 3 * 3840


def last_utterance(app: Flask):
    return context_of(app).engine.get().utterances[-1]


@pytest.mark.parametrize(
    ("sent", "model"),
    [
        ("tts-1-1106", "tts-1-1106"),
        ("TTS-1-HD", "tts-1-hd"),
        ("openai/tts-1", "tts-1"),
        ("openrouter/OpenAI/GPT-4o-mini-TTS", "gpt-4o-mini-tts"),
        ("gpt-realtime-2.1-mini", "gpt-realtime-2.1-mini"),
        ("gpt-realtime", "gpt-realtime"),
        ("openai/tone", "tone"),
    ],
)
def test_a_model_is_found_by_any_case_and_behind_a_provider(
    client: FlaskClient, sent: str, model: str
) -> None:
    assert client.post(SPEECH, json={**GOOD, "model": sent}).status_code == 200
    assert client.get(f"/v1/models/{sent}").get_json()["id"] == model


@pytest.mark.parametrize("sent", ["openai/", "/", "tts-1/openai", "", "whisper-1"])
def test_an_unknown_model_stays_unknown(client: FlaskClient, sent: str) -> None:
    reply = client.post(SPEECH, json={**GOOD, "model": sent})
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(("old", "new"), [("tts-1-1106", "tts-1"), ("tts-1-hd-1106", "tts-1-hd")])
def test_a_dated_model_is_the_one_without_a_date(app: Flask, old: str, new: str) -> None:
    presets = context_of(app).registry.presets
    assert (presets[old].options, presets[old].sse) == (presets[new].options, presets[new].sse)


@pytest.mark.parametrize("sent", ["Sine", "SINE", {"id": "sInE"}])
def test_the_case_of_a_voice_does_not_matter(app: Flask, sent: object) -> None:
    assert app.test_client().post(SPEECH, json={**GOOD, "voice": sent}).status_code == 200
    assert last_utterance(app).voice.id == "sine"


@pytest.fixture
def two_cases(tone_settings: Settings, tmp_path) -> Iterator[Flask]:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    assert tone_settings.plugins_dir
    for path in tone_settings.plugins_dir.glob("*.py"):
        (plugins / path.name).write_text(path.read_text())
    voices = "".join(f"Voice({i!r}, {i!r}, options={{'tone': {{}}}})," for i in ("Amy", "amy"))
    (plugins / "amies.py").write_text(
        "from voxcpm_openai import Voice, hookimpl\n\n@hookimpl\ndef register_voices():\n"
        f"    return [{voices}]\n"
    )
    app = started(replace(tone_settings, plugins_dir=plugins))
    yield app
    context_of(app).engine.stop()


def test_an_exact_name_comes_first_and_one_of_two_is_never_chosen_in_silence(
    two_cases: Flask,
) -> None:
    client = two_cases.test_client()
    for voice in ("Amy", "amy"):
        assert client.post(SPEECH, json={**GOOD, "voice": voice}).status_code == 200
        assert last_utterance(two_cases).voice.id == voice
    reply = client.post(SPEECH, json={**GOOD, "voice": "AMY"})
    assert (reply.status_code, reply.get_json()["error"]["param"]) == (400, "voice")


def test_a_voice_that_only_a_finder_knows_is_found_in_lower_case(app: Flask) -> None:
    ctx = context_of(app)
    found = {"af_one": Voice("af_one", "One")}
    library = VoiceLibrary({"Amy": Voice("Amy", "Amy")}, ctx.store, found.get)
    assert library.find("AF_One").id == "af_one"
    assert library.find("AMY").id == "Amy"
    with pytest.raises(UnknownVoice, match="'AF_Two' does not exist"):
        library.find("AF_Two")


def test_names_are_compared_without_case_only_where_none_is_equal() -> None:
    items = {"a": 1, "A": 2, "b": 3}
    assert [names.find(items, name) for name in ("a", "A", "B", "c")] == [1, 2, 3, None]


@pytest.mark.parametrize(("sent", "start"), [("MP3", b"\xff\xf3"), ("Ogg", b"OggS")])
def test_the_case_of_a_format_does_not_matter_and_ogg_is_opus(
    client: FlaskClient, sent: str, start: bytes
) -> None:
    reply = client.post(SPEECH, json={**GOOD, "response_format": sent})
    assert reply.data.startswith(start)
    opus = client.post(SPEECH, json={**GOOD, "response_format": "opus"})
    assert (reply.data == opus.data) == (sent == "Ogg")


@pytest.mark.parametrize(
    ("sent", "seed"), [("42", 42), (1.0, 1), (-1, None), ("-1", None), (" 7 ", 7), ("", None)]
)
def test_a_seed_may_be_a_string_or_a_float_and_minus_one_is_random(
    app: Flask, sent: object, seed: int | None
) -> None:
    reply = app.test_client().post(SPEECH, json={**GOOD, "seed": sent})
    assert (reply.status_code, last_utterance(app).seed) == (200, seed)


@pytest.mark.parametrize(
    ("sent", "ignored"),
    [("auto", None), ("Auto", None), ("", None), ("english", "language"), ("Chinese", "language")],
)
def test_a_language_may_be_a_name_or_auto(
    client: FlaskClient, sent: str, ignored: str | None
) -> None:
    """The tone engine has no language: one that was sent is reported."""
    reply = client.post(SPEECH, json={**GOOD, "language": sent})
    assert (reply.status_code, reply.headers.get("x-voxcpm-ignored")) == (200, ignored)


def test_a_language_that_needs_an_extra_is_found_by_its_name(tone_settings: Settings) -> None:
    """The names mean the codes: both get the same answer."""
    client = started(replace(tone_settings, engine="embedded")).test_client()
    body = {"input": "Hola.", "normalize": True}
    by_name, by_code = (
        client.post("/v1/audio/speech/text", json={**body, "language": language}).get_json()
        for language in ("Spanish", "es")
    )
    assert by_name == by_code


@pytest.mark.parametrize(
    ("fields", "lead", "tail"),
    [
        ({}, 100, 300),
        ({"lead_ms": 0, "tail_ms": 0}, 0, 0),
        ({"lead_ms": 200}, 200, 300),
        ({"tail_ms": 2000, "speed": 2.0, "sample_rate": 48000}, 100, 2000),
        ({"lead_ms": "", "tail_ms": None}, 100, 300),
    ],
)
def test_silence_comes_before_and_after_the_speech(
    tone_settings: Settings, fields: dict[str, object], lead: int, tail: int
) -> None:
    client = started(replace(tone_settings, lead_ms=100, tail_ms=300)).test_client()
    reply = client.post(SPEECH, json={**GOOD, **fields})
    rate = int(reply.headers["x-audio-sample-rate"])
    samples = np.frombuffer(reply.data, "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 1000)
    assert loud[0] / rate == pytest.approx(lead / 1000, abs=0.02)
    assert (len(samples) - loud[-1]) / rate == pytest.approx(tail / 1000, abs=0.06)


def test_silence_alone_is_no_speech(client: FlaskClient) -> None:
    reply = client.post(SPEECH, json={**GOOD, "input": "silent", "lead_ms": 500, "tail_ms": 500})
    assert reply.status_code == 400
