"""Ownership of voices and consents, on a server with two keys."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.support.uploads import (
    JANE,
    JOHN,
    NOBODY,
    RECORDING,
    added,
    consent,
    error_of,
    ids,
    send,
    speak,
)
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.web.app_context import context_of


def test_a_key_sees_its_own_voices_and_the_shared_ones(shared: FlaskClient) -> None:
    hers = added(shared, JANE)
    shared_voice = (
        context_of(shared.application).store.add("Operator's", RECORDING, principal=OPERATOR).id
    )
    assert {hers, shared_voice, "alloy"} <= ids(shared, JANE)
    for other in (JOHN, NOBODY):
        assert hers not in ids(shared, other)
        assert {shared_voice, "alloy"} <= ids(shared, other)
        for path in (f"/v1/voices/{hers}", f"/v1/voices/{hers}/sample"):
            reply = shared.get(path, headers=other)
            assert error_of(reply) == (404, "voice", "voice_not_found")
            assert hers not in reply.get_json()["error"]["message"].partition("There are")[2]
    assert error_of(speak(shared, hers, JOHN)) == (400, "voice", None)
    assert speak(shared, shared_voice, JOHN).status_code == 200
    assert speak(shared, hers, JANE).status_code == 200


def test_a_key_changes_only_its_own_voices(shared: FlaskClient) -> None:
    hers = added(shared, JANE)
    shared_voice = (
        context_of(shared.application).store.add("Operator's", RECORDING, principal=OPERATOR).id
    )
    for voice, wants in (
        (hers, (404, "voice", "voice_not_found")),
        (shared_voice, (400, "voice", None)),
        ("alloy", (400, "voice", None)),
    ):
        url = f"/v1/voices/{voice}"
        assert error_of(shared.patch(url, json={"name": "x"}, headers=JOHN)) == wants
        assert error_of(shared.delete(url, headers=JOHN)) == wants
        for method in (shared.patch, shared.delete):
            assert method(url, json={"name": "x"}).status_code == 401
    assert hers in ids(shared, JANE)


def test_a_consent_belongs_to_its_key(shared: FlaskClient) -> None:
    hers = consent(shared, JANE)
    url = f"/v1/audio/voice_consents/{hers}"
    lost = (404, "consent", "consent_not_found")
    assert shared.get(url).status_code == 401
    assert error_of(shared.get(url, headers=JOHN)) == lost
    assert error_of(shared.post(url, json={"name": "x"}, headers=JOHN)) == lost
    assert error_of(shared.delete(url, headers=JOHN)) == lost
    assert shared.get("/v1/audio/voice_consents", headers=JOHN).get_json()["data"] == []
    assert error_of(send(shared, JOHN, consent=hers)) == (400, "consent", None)
    assert shared.get(url, headers=JANE).status_code == 200


def test_without_keys_everything_is_shared(client: FlaskClient) -> None:
    voice = added(client)
    stranger = {"Authorization": "Bearer whatever"}
    assert voice in ids(client, stranger)
    assert client.delete(f"/v1/voices/{voice}", headers=stranger).status_code == 200
