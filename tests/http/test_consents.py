"""Consents over HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from tests.conftest import running
from tests.support.uploads import (
    added,
    consent,
    error_of,
    file,
)
from voxcpm_openai.settings import Settings


def test_consents_are_paginated(client: FlaskClient) -> None:
    assert client.get("/v1/audio/voice_consents").get_json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    made = {consent(client, name=str(number)) for number in range(5)}
    seen: list[str] = []
    after = ""
    for _ in range(3):
        page = client.get(f"/v1/audio/voice_consents?limit=2{after}").get_json()
        seen += [one["id"] for one in page["data"]]
        assert (page["first_id"], page["last_id"]) == (
            page["data"][0]["id"],
            page["data"][-1]["id"],
        )
        assert page["has_more"] == (len(seen) < 5)
        after = f"&after={page['last_id']}"
    assert len(seen) == 5
    assert set(seen) == made
    assert client.get(f"/v1/audio/voice_consents?{after}").get_json()["data"] == []
    assert len(client.get("/v1/audio/voice_consents").get_json()["data"]) == 5


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=1.5", "limit"),
        ("after=cons_nowhere", "after"),
        ("after=", "after"),
    ],
)
def test_a_wrong_page_is_refused(client: FlaskClient, query: str, param: str) -> None:
    assert error_of(client.get(f"/v1/audio/voice_consents?{query}")) == (400, param, None)


def test_a_consent_is_returned_renamed_and_deleted(client: FlaskClient) -> None:
    made = consent(client)
    url = f"/v1/audio/voice_consents/{made}"
    body = client.get(url).get_json()
    assert body.keys() == {"object", "id", "name", "language", "created_at"}
    assert (body["object"], body["name"], body["language"]) == (
        "audio.voice_consent",
        "Jane",
        "en-US",
    )
    assert client.post(url, json={"name": "Ж"}).get_json() == {**body, "name": "Ж"}
    assert client.get(url).get_json()["name"] == "Ж"
    assert error_of(client.post(url, json={})) == (400, "name", None)
    gone = {"id": made, "object": "audio.voice_consent", "deleted": True}
    assert client.delete(url).get_json() == gone
    assert error_of(client.get(url)) == (404, "consent", "consent_not_found")


@pytest.mark.parametrize("field", ["name", "language", "recording"])
def test_a_consent_needs_all_of_its_fields(client: FlaskClient, field: str) -> None:
    form = {"name": "Jane", "language": "en", "recording": file()}
    del form[field]
    reply = client.post("/v1/audio/voice_consents", data=form, content_type="multipart/form-data")
    assert error_of(reply) == (400, field, None)


def test_a_recording_that_is_not_audio_is_refused(client: FlaskClient) -> None:
    form = {"name": "Jane", "language": "en", "recording": file(b"no sound")}
    assert error_of(client.post("/v1/audio/voice_consents", data=form)) == (400, "recording", None)


def test_a_consent_that_a_voice_uses_cannot_be_deleted(client: FlaskClient) -> None:
    allowed = consent(client)
    voice = added(client, consent=allowed, name="Resting")
    url = f"/v1/audio/voice_consents/{allowed}"
    reply = client.delete(url)
    assert error_of(reply) == (400, "consent", "consent_in_use")
    assert "Resting" in reply.get_json()["error"]["message"]
    client.delete(f"/v1/voices/{voice}")
    assert client.delete(url).status_code == 200


def test_a_consent_beyond_the_limit_is_refused_as_a_voice_is(tone_settings: Settings) -> None:
    with running(replace(tone_settings, max_consents=1)) as client:
        made = consent(client)
        form = {"name": "Jane", "language": "en", "recording": file()}
        reply = client.post("/v1/audio/voice_consents", data=form)
        assert error_of(reply) == (400, None, "consents_full")
        assert "VOXCPM_MAX_CONSENTS" in reply.get_json()["error"]["message"]
        assert client.delete(f"/v1/audio/voice_consents/{made}").status_code == 200
        consent(client)
