"""Ownership over HTTP: without a key, nothing that a key owns can be seen or changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from tests.conftest import running
from tests.support.uploads import JANE, KEYS, added, consent
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.web.app_context import context_of

BLUEPRINTS = ("voices", "consents", "candidates", "dictionaries")
OPEN = {"/v1/voices", "/v1/audio/voices", "/v1/voices/<id_>", "/v1/voices/<id_>/sample"}
"""Discovery: GET works without a key, unless ``public_discovery`` is off."""


@pytest.fixture(params=[True, False], ids=["public discovery", "no discovery"])
def closed(request: pytest.FixtureRequest, tone_settings: Settings) -> Iterator[FlaskClient]:
    """A client of an app with keys, whose engine clones and designs."""
    settings = replace(
        tone_settings, api_keys=KEYS, engine="cloning-tone", public_discovery=request.param
    )
    with running(settings) as client:
        yield client


def calls(client: FlaskClient) -> list[tuple[str, str]]:
    """Return every method and route of what keys own."""
    return [
        (method, rule.rule)
        for rule in client.application.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in BLUEPRINTS
        for method in sorted(rule.methods or ())
        if method != "OPTIONS"
    ]


def records(client: FlaskClient) -> list[object]:
    """Return everything that is stored, of all owners."""
    data = DataFolder(context_of(client.application).settings.data_folder)
    folders = (data.voices, data.consents, data.candidates, data.dictionaries)
    return [dict(folder.scan()) for folder in folders]


def test_without_a_key_no_route_shows_or_changes_what_a_key_owns(closed: FlaskClient) -> None:
    candidate = closed.post("/v1/voices", json={"name": "x", "description": "y"}, headers=JANE)
    rules = [{"type": "alias", "string_to_replace": "Secret name", "alias": "x"}]
    dictionary = closed.post(
        "/v1/pronunciation-dictionaries/add-from-rules",
        json={"name": "Secret name", "rules": rules},
        headers=JANE,
    )
    owned = [
        added(closed, JANE, name="Secret name"),
        consent(closed, JANE, name="Secret name"),
        candidate.get_json()["candidates"][0]["id"],
        dictionary.get_json()["id"],
    ]
    before = records(closed)
    assert all(before)
    discovery = context_of(closed.application).settings.public_discovery
    found = calls(closed)
    assert len(found) > 10
    for method, rule in found:
        opened = discovery and method in ("GET", "HEAD") and rule in OPEN
        for id_ in owned if "<id_>" in rule else [""]:
            url = rule.replace("<id_>", id_)
            json = {"name": "x", "description": "y"} if method in ("POST", "PATCH") else None
            reply = closed.open(url, method=method, json=json)
            wanted = ((404,) if id_ else (200,)) if opened else (401,)
            assert reply.status_code in wanted, (method, url)
            assert "Secret name" not in reply.text
            if not id_:
                assert not any(one in reply.text for one in owned)
    assert records(closed) == before


def test_without_a_key_no_speech_with_a_voice_that_a_key_owns(closed: FlaskClient) -> None:
    body = {"model": "tts-1", "input": "Hello.", "voice": added(closed, JANE)}
    assert closed.post("/v1/audio/speech", json=body).status_code == 401
    wrong = {"Authorization": "Bearer somebody else's key"}
    assert closed.post("/v1/audio/speech", json=body, headers=wrong).status_code == 401
    assert closed.post("/v1/audio/speech", json=body, headers=JANE).status_code == 200
