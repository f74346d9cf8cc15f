"""Pronunciation dictionaries over HTTP, in ElevenLabs' shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.uploads import JANE, JOHN, NOBODY, Headers, error_of
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.principal import OPERATOR, Principal
from voxcpm_openai.text.marks import Marks
from voxcpm_openai.web.app_context import context_of

URL = "/v1/pronunciation-dictionaries"
ALIAS = {"type": "alias", "string_to_replace": "Nguyen", "alias": "win"}
PHONEME = {"type": "phoneme", "string_to_replace": "gif", "phoneme": "dʒɪf", "alphabet": "ipa"}
JANES = unnamed("jane's key").principal
JOHNS = unnamed("john's key").principal


def post(client: FlaskClient, url: str, body: object, headers: Headers = NOBODY) -> TestResponse:
    """Send a body as JSON with escapes, so that it may have lone surrogates."""
    content = json.dumps(body)
    return client.post(url, data=content, content_type="application/json", headers=headers)


def send(client: FlaskClient, headers: Headers = NOBODY, **fields: object) -> TestResponse:
    body = {"name": "names", "rules": [ALIAS], **fields}
    return post(client, f"{URL}/add-from-rules", body, headers)


def added(client: FlaskClient, headers: Headers = NOBODY, **fields: object) -> str:
    reply = send(client, headers, **fields)
    assert reply.status_code == 200, reply.text
    return str(reply.get_json()["id"])


def said(client: FlaskClient, text: str, principal: Principal) -> str:
    """Return a text as the rules of a principal's requests change it."""
    ctx = context_of(client.application)
    voice = ctx.voices.get("alloy")
    return ctx.lexicons.lexicon(voice, None, principal).apply(text, Marks(), False)


def test_a_dictionary_is_stored_listed_returned_and_deleted(client: FlaskClient) -> None:
    reply = send(client, rules=[ALIAS, PHONEME], description="Of people", workspace_access="admin")
    made: dict[str, Any] = reply.get_json()
    assert made == {
        "id": made["id"],
        "name": "names",
        "description": "Of people",
        "created_by": "operator",
        "creation_time_unix": made["creation_time_unix"],
        "permission_on_resource": "admin",
        "version_id": made["version_id"],
        "version_rules_num": 2,
    }
    metadata = {key: value for key, value in made.items() if not key.startswith("version_")}
    metadata |= {
        "latest_version_id": made["version_id"],
        "latest_version_rules_num": 2,
        "archived_time_unix": None,
    }
    listed = {"pronunciation_dictionaries": [metadata], "next_cursor": None, "has_more": False}
    assert client.get(URL).get_json() == listed
    exact = {"case_sensitive": True, "word_boundaries": True}
    rules = [{**ALIAS, **exact}, {**PHONEME, **exact}]
    assert client.get(f"{URL}/{made['id']}").get_json() == {**metadata, "rules": rules}
    assert said(client, "Nguyen's", OPERATOR) == "win's"
    gone = {"id": made["id"], "object": "pronunciation_dictionary", "deleted": True}
    assert client.delete(f"{URL}/{made['id']}").get_json() == gone
    assert said(client, "Nguyen's", OPERATOR) == "Nguyen's"
    for method in ("GET", "DELETE"):
        missing = client.open(f"{URL}/{made['id']}", method=method)
        param = "pronunciation_dictionary"
        assert error_of(missing) == (404, param, f"{param}_not_found")


def test_a_dictionary_without_a_description(client: FlaskClient) -> None:
    for fields in ({}, {"description": None}, {"description": ""}):
        assert send(client, **fields).get_json()["description"] is None


def test_the_list_is_paginated(client: FlaskClient) -> None:
    ids = [added(client, name=str(number)) for number in range(5)]
    found: list[str] = []
    cursor = ""
    for _ in range(3):
        page = client.get(f"{URL}?page_size=2{cursor}").get_json()
        found += [one["id"] for one in page["pronunciation_dictionaries"]]
        assert page["has_more"] == (len(found) < 5)
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ids
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "param"),
    [("page_size=0", "page_size"), ("page_size=x", "page_size"), ("cursor=x", "cursor")],
)
def test_a_wrong_page_is_refused(client: FlaskClient, query: str, param: str) -> None:
    assert error_of(client.get(f"{URL}?{query}")) == (400, param, None)


@pytest.mark.parametrize(
    ("fields", "param", "problem"),
    [
        ({"name": ""}, "name", "1 to 100 characters"),
        ({"name": "x" * 101}, "name", "1 to 100 characters"),
        ({"name": None}, "name", "required"),
        ({"name": 7}, "name", "a string"),
        ({"description": "x" * 501}, "description", "0 to 500 characters"),
        ({"rules": None}, "rules", "required"),
        ({"rules": []}, "rules", "a list of 1 to 1000 rules"),
        ({"rules": {"Nguyen": "win"}}, "rules", "a list of 1 to 1000 rules"),
        ({"rules": [ALIAS] * 1001}, "rules", "a list of 1 to 1000 rules"),
        ({"rules": [ALIAS, "x"]}, "rules", "rule 2: 'type' is required"),
        ({"rules": [{**ALIAS, "type": "x"}]}, "rules", "rule 1: 'type' must be"),
        ({"rules": [{**ALIAS, "type": None}]}, "rules", "rule 1: 'type' must be"),
        ({"rules": [{"type": "alias", "alias": "x"}]}, "rules", "'string_to_replace' is required"),
        ({"rules": [{**ALIAS, "string_to_replace": ""}]}, "rules", "'string_to_replace' must have"),
        ({"rules": [{**ALIAS, "string_to_replace": 7}]}, "rules", "'string_to_replace' must be"),
        ({"rules": [{**ALIAS, "alias": None}]}, "rules", "'alias' is required"),
        ({"rules": [{**ALIAS, "alias": "x" * 201}]}, "rules", "'alias' must have 1 to 200"),
        ({"rules": [{**ALIAS, "alias": "\ud800"}]}, "rules", "'rules' has a lone surrogate"),
        ({"rules": [{**ALIAS, "case_sensitive": "x"}]}, "rules", "'case_sensitive' must be true"),
        ({"rules": [{**PHONEME, "alphabet": "cmu-arpabet"}]}, "rules", "'alphabet' must be 'ipa'"),
        ({"rules": [{**PHONEME, "phoneme": ""}]}, "rules", "'phoneme' must have 1 to 200"),
        ({"rules": [{**PHONEME, "phoneme": "JH IH1 F"}]}, "rules", "'phoneme' must be a"),
    ],
)
def test_a_wrong_dictionary_is_refused(
    client: FlaskClient, fields: dict[str, object], param: str, problem: str
) -> None:
    reply = send(client, **fields)
    assert error_of(reply) == (400, param, None)
    assert problem in reply.get_json()["error"]["message"]
    assert client.get(URL).get_json()["pronunciation_dictionaries"] == []


def test_a_body_that_is_no_json_object_is_refused(client: FlaskClient) -> None:
    url = f"{URL}/add-from-rules"
    assert error_of(client.post(url, data="[", content_type="application/json"))[0] == 400
    assert error_of(client.post(url, data={"name": "x"}))[0] == 415


def test_a_dictionary_of_the_largest_size_is_stored(client: FlaskClient) -> None:
    rules = [
        {**ALIAS, "string_to_replace": f"{n:04}" + "𝒳" * 196, "alias": "𝒳" * 200}
        for n in range(1000)
    ]
    assert send(client, rules=rules).get_json()["version_rules_num"] == 1000


def test_the_number_of_dictionaries_of_a_key_is_limited(
    shared: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxcpm_openai.voices.store.dictionaries.MAX_DICTIONARIES", 2)
    for _ in range(2):
        added(shared, JANE)
    assert error_of(send(shared, JANE)) == (400, None, "dictionaries_full")
    added(shared, JOHN)


def test_a_dictionary_belongs_to_the_key_that_stored_it(shared: FlaskClient) -> None:
    hers = added(shared, JANE)
    his = added(shared, JOHN, rules=[{**ALIAS, "alias": "new yen"}])
    assert said(shared, "Nguyen", JANES) == "win"
    assert said(shared, "Nguyen", JOHNS) == "new yen"
    for headers, own, other in ((JANE, hers, his), (JOHN, his, hers)):
        listed = shared.get(URL, headers=headers).get_json()["pronunciation_dictionaries"]
        assert [one["id"] for one in listed] == [own]
        assert shared.get(f"{URL}/{own}", headers=headers).status_code == 200
        assert shared.get(f"{URL}/{other}", headers=headers).status_code == 404
        assert shared.get(f"{URL}?cursor={other}", headers=headers).status_code == 400
        assert shared.delete(f"{URL}/{other}", headers=headers).status_code == 404
    assert said(shared, "Nguyen", JANES) == "win"


@pytest.mark.parametrize(
    "lexicon",
    [{}, None, {"Nguyen": "win"}, {"gif": {"ipa": "dʒɪf"}}, {f"x{n}": "y" for n in range(1000)}],
)
def test_a_speech_request_may_have_a_lexicon(client: FlaskClient, lexicon: object) -> None:
    body = {"model": "tts-1", "input": "Ask Nguyen.", "lexicon": lexicon}
    reply = client.post("/v1/audio/speech", json=body)
    assert reply.status_code == 200
    assert "x-voxcpm-ignored" not in reply.headers


@pytest.mark.parametrize(
    ("lexicon", "problem"),
    [
        ("Nguyen", "must be an object"),
        ([ALIAS], "must be an object"),
        ({"Nguyen": 7}, "'Nguyen': must be other words"),
        ({"": "x"}, "'': 'text' must have 1 to 200 characters"),
        ({"Nguyen": ""}, "'Nguyen': 'alias' must have 1 to 200 characters"),
        ({"Nguyen": {"phoneme": "wɪn"}}, "'Nguyen': there is no field 'phoneme'"),
        ({"\ue000": "x"}, "'text' has a character that is never read aloud"),
        ({"\ud800": "x"}, "has a lone surrogate"),
        ({f"x{n}": "y" for n in range(1001)}, "at most 1000 rules"),
    ],
)
def test_a_wrong_lexicon_of_a_speech_request_is_refused(
    client: FlaskClient, lexicon: object, problem: str
) -> None:
    body = {"model": "tts-1", "input": "Ask Nguyen.", "lexicon": lexicon}
    reply = post(client, "/v1/audio/speech", body)
    assert error_of(reply) == (400, "lexicon", None)
    assert problem in reply.get_json()["error"]["message"]
