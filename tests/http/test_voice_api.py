"""Voices over HTTP: adding, changing and deleting them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import running
from tests.support.uploads import (
    JANE,
    RECORDING,
    added,
    consent,
    engine_of,
    error_of,
    file,
    ids,
    send,
    speak,
)
from voxcpm_openai.settings import Settings


@pytest.mark.parametrize("path", ["/v1/audio/voices", "/v1/voices"])
def test_an_added_voice_is_returned_in_openais_shape(client: FlaskClient, path: str) -> None:
    body = send(client, path=path, name="名前").get_json()
    assert body.keys() == {"object", "id", "name", "created_at", "type"}
    assert (body["object"], body["name"], body["type"]) == ("audio.voice", "名前", "audio_sample")
    assert body["id"].startswith("voice_")
    assert abs(time.time() - body["created_at"]) < 60
    listed = client.get("/v1/audio/voices").get_json()["voices"]
    (mine,) = [voice for voice in listed if voice["id"] == body["id"]]
    assert mine == client.get(f"/v1/voices/{body['id']}").get_json()
    assert mine["created_at"] == body["created_at"]


@pytest.mark.parametrize("shape", [str, lambda id_: {"id": id_}])
def test_an_added_voice_speaks_at_once(shared: FlaskClient, shape: Any) -> None:
    voice = added(shared, JANE, transcript="Some words.", description="Calm.", language="en")
    assert speak(shared, shape(voice), JANE).status_code == 200
    spoken = engine_of(shared).utterances[-1].voice
    assert (spoken.id, spoken.transcript, spoken.language) == (voice, "Some words.", "en")
    assert spoken.audio.read_bytes()[:4] == b"fLaC"


def test_an_engine_that_cannot_clone_keeps_the_voice_and_names_one_that_can(
    client: FlaskClient,
) -> None:
    voice = added(client)
    reply = speak(client, voice)
    assert error_of(reply) == (400, "voice", "cannot_clone")
    assert "VOXCPM_ENGINE=voxcpm" in reply.get_json()["error"]["message"]
    assert voice in ids(client)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio_sample": None}, "audio_sample"),
        ({"audio_sample": "a text"}, "audio_sample"),
        ({"audio_sample": [file(), file()]}, "audio_sample"),
        ({"audio_sample": file(b"no sound")}, "audio_sample"),
        ({"audio_sample": file(b"")}, "audio_sample"),
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": ["one", "two"]}, "name"),
        ({"language": "English!"}, "language"),
        ({"description": "a" * 501}, "description"),
        ({"transcript": "a" * 2001}, "transcript"),
        ({"type": "prompt"}, "type"),
        ({"consent": None}, "consent"),
        ({"consent": ""}, "consent"),
        ({"consent": "cons_nowhere"}, "consent"),
        ({"consent": "../voices"}, "consent"),
    ],
)
def test_a_missing_or_wrong_field_is_named(
    client: FlaskClient, fields: dict[str, Any], param: str
) -> None:
    fields = {  # each test has its own streams
        name: [file(v[0].getvalue()) if isinstance(v, tuple) else v for v in value]
        if isinstance(value, list)
        else file(value[0].getvalue())
        if isinstance(value, tuple)
        else value
        for name, value in fields.items()
    }
    before = ids(client)
    assert error_of(send(client, **fields)) == (400, param, None)
    assert ids(client) == before


def test_a_body_that_is_not_a_form_is_refused(client: FlaskClient) -> None:
    json = client.post("/v1/audio/voices", json={"name": "x"})
    assert error_of(json) == (400, "audio_sample", None)
    assert error_of(client.post("/v1/audio/voices")) == (400, "audio_sample", None)
    text = client.post("/v1/audio/voices", data="x", content_type="text/plain")
    assert error_of(text) == (415, None, None)
    broken = client.post("/v1/audio/voices", data="x", content_type="multipart/form-data")
    assert broken.status_code == 400
    lost = b"--b\r\nContent-Disposition: form-data; name="
    cut = client.post("/v1/audio/voices", data=lost, content_type="multipart/form-data; boundary=b")
    assert cut.status_code == 400


def test_files_and_bodies_have_size_limits(client: FlaskClient) -> None:
    allowed = consent(client)

    def send_file(content: bytes) -> TestResponse:
        parts = {"name": "x", "consent": allowed}
        texts = "".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in parts.items()
        )
        head = '--b\r\nContent-Disposition: form-data; name="audio_sample"; filename="x"\r\n\r\n'
        return client.post(
            "/v1/audio/voices",
            data=(texts + head).encode() + content + b"\r\n--b--\r\n",
            content_type="multipart/form-data; boundary=b",
        )

    assert send_file(RECORDING).status_code == 200
    assert error_of(send_file(RECORDING + bytes(10 * 2**20))) == (400, "audio_sample", None)
    assert error_of(send_file(bytes(11 * 2**20))) == (413, None, None)
    body = {"model": "tts-1", "input": "x" * 2**20}
    assert client.post("/v1/audio/speech", json=body).status_code == 413


def test_the_operator_can_waive_consents(tone_settings: Settings) -> None:
    with running(replace(tone_settings, require_consent=False)) as client:
        assert send(client, consent=None).status_code == 200
        reply = send(client, consent="cons_nowhere")
        assert error_of(reply) == (400, "consent", None)


def test_a_voice_beyond_the_limit_is_refused(tone_settings: Settings) -> None:
    with running(replace(tone_settings, max_voices=1)) as client:
        added(client)
        reply = send(client)
        assert error_of(reply) == (400, None, "voices_full")
        assert "VOXCPM_MAX_VOICES" in reply.get_json()["error"]["message"]


def test_strict_mode_refuses_unknown_fields(tone_settings: Settings) -> None:
    with running(replace(tone_settings, strict=True)) as client:
        assert error_of(send(client, colour="red")) == (400, "colour", None)


def test_a_data_folder_that_cannot_be_written_is_a_500_without_a_retry(
    tone_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with running(
        replace(tone_settings, data_dir=tmp_path / "file" / "data", require_consent=False)
    ) as client:
        reply = send(client, consent=None)
        assert error_of(reply) == (500, None, "data_dir_unwritable")
        assert reply.headers["x-should-retry"] == "false"
        assert str(tmp_path) not in reply.text


def test_name_and_description_can_be_changed(client: FlaskClient) -> None:
    voice = added(client, description="Old.")
    url = f"/v1/voices/{voice}"
    changed = client.patch(url, json={"name": "New"}).get_json()
    assert (changed["name"], changed["description"]) == ("New", "Old.")
    client.patch(url, json={"description": ""})
    assert client.get(url).get_json()["description"] == ""
    assert error_of(client.patch(url, json={"name": ""})) == (400, "name", None)
    assert error_of(client.patch(url, json={"name": 3})) == (400, "name", None)
    missing = client.patch("/v1/voices/nobody", json={"name": "x"})
    assert error_of(missing) == (404, "voice", "voice_not_found")


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/audio/voices"])
def test_a_deleted_voice_is_gone(client: FlaskClient, path: str) -> None:
    voice = added(client)
    # As some clients send it: a type, and no body.
    reply = client.delete(f"{path}/{voice}", content_type="application/json")
    assert reply.get_json() == {"id": voice, "object": "audio.voice.deleted", "deleted": True}
    assert error_of(client.get(f"/v1/voices/{voice}")) == (404, "voice", "voice_not_found")
    assert error_of(client.delete(f"{path}/{voice}"))[0] == 404
    assert error_of(speak(client, voice)) == (400, "voice", None)


@pytest.mark.parametrize("id_", ["..%2f..%2fetc", "%2e%2e", "voice_%00", "voice_x%2f..", "lock"])
def test_ids_cannot_leave_the_folder(client: FlaskClient, id_: str) -> None:
    added(client)
    for path in (f"/v1/voices/{id_}", f"/v1/voices/{id_}/sample", f"/v1/audio/voices/{id_}"):
        for method in ("GET", "DELETE", "PATCH"):
            reply = client.open(path, method=method, json={"name": "x"})
            assert reply.status_code in (404, 405)
    assert error_of(client.post(f"/v1/voices/{id_}/keep"))[0] == 404
