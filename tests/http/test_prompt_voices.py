"""OpenAI's designed voices: ``type`` "prompt" on ``POST /v1/audio/voices``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import running
from tests.support.uploads import JANE, JOHN, NOBODY, Headers, engine_of, error_of, ids, speak
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

URL = "/v1/audio/voices"
PROMPT = {"type": "prompt", "name": "Grandpa", "prompt": "a calm old man"}


def design(
    client: FlaskClient, headers: Headers = JANE, *, form: bool = False, **fields: object
) -> TestResponse:
    body = {name: value for name, value in {**PROMPT, **fields}.items() if value is not None}
    if form:
        return client.post(URL, data=body, headers=headers, content_type="multipart/form-data")
    return client.post(URL, json=body, headers=headers)


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_a_voice_is_designed_and_speaks_at_once(shared: FlaskClient, form: bool) -> None:
    reply = design(shared, form=form, model="auto", script_hint="Once upon a time.", language="zh")
    assert reply.status_code == 200, reply.text
    voice = reply.get_json()
    assert voice.pop("id").startswith("voice_")
    assert isinstance(voice.pop("created_at"), int)
    assert voice == {"object": "audio.voice", **PROMPT}
    utterance = engine_of(shared).utterances[-1]
    assert len(engine_of(shared).utterances) == 1
    assert utterance.voice.description == "a calm old man"
    assert "清晨" in utterance.segments[0].text
    id_ = reply.get_json()["id"]
    assert speak(shared, id_, JANE).status_code == 200
    assert engine_of(shared).utterances[-1].voice.audio is not None
    assert id_ in ids(shared, JANE)
    assert id_ not in ids(shared, JOHN)


def test_no_candidate_is_left(shared: FlaskClient, tone_settings: Settings) -> None:
    assert design(shared).status_code == 200
    assert tone_settings.data_dir is not None
    assert list((tone_settings.data_dir / "candidates").glob("cand_*")) == []


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_an_engine_that_cannot_design_names_voxcpm2(client: FlaskClient, form: bool) -> None:
    reply = design(client, NOBODY, form=form)
    assert error_of(reply) == (400, "type", None)
    assert "VoxCPM2" in reply.get_json()["error"]["message"]


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": None}, "name"),
        ({"name": " "}, "name"),
        ({"prompt": None}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"language": "?"}, "language"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(
    shared: FlaskClient, form: bool, fields: dict[str, object], param: str
) -> None:
    assert error_of(design(shared, form=form, **fields)) == (400, param, None)


def test_a_prompt_has_up_to_2000_characters(shared: FlaskClient) -> None:
    assert design(shared, prompt="x" * 2000).get_json()["prompt"] == "x" * 2000


@pytest.mark.parametrize("type_", ["audio_sample", "other", None, 7])
def test_any_other_type_in_json_needs_a_file(shared: FlaskClient, type_: object) -> None:
    assert error_of(design(shared, type=type_)) == (400, "audio_sample", None)


def test_an_unknown_type_in_a_form_names_both(shared: FlaskClient) -> None:
    reply = design(shared, form=True, type="other")
    assert error_of(reply) == (400, "type", None)
    assert "'prompt'" in reply.get_json()["error"]["message"]


def test_the_limits_on_voices_and_streams_hold(tone_settings: Settings) -> None:
    settings = replace(tone_settings, engine="cloning-tone", max_voices=1, max_streams=1)
    with running(settings) as client:
        with context_of(client.application).limits.enter():
            assert error_of(design(client, NOBODY)) == (503, None, "overloaded")
        assert design(client, NOBODY).status_code == 200
        assert error_of(design(client, NOBODY)) == (400, None, "voices_full")


def test_strict_mode_knows_the_fields_of_a_design(tone_settings: Settings) -> None:
    settings = replace(tone_settings, engine="cloning-tone", strict=True)
    with running(settings) as client:
        assert design(client, NOBODY, script_hint="x").status_code == 200
        assert error_of(design(client, NOBODY, age=80)) == (400, "age", None)
