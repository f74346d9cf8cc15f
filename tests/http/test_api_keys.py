"""Which headers carry a key, and what is answered without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from tests.conftest import running
from voxcpm_openai.settings import Settings

KEY = "key-1 with spaces"
GOOD = {"model": "tone", "input": "Hello.", "voice": "alloy"}


@pytest.fixture
def keyed(tone_settings: Settings) -> Iterator[FlaskClient]:
    """A client of a server with a key."""
    with running(replace(tone_settings, api_keys=(KEY,))) as client:
        yield client


def status(client: FlaskClient, header: str | None) -> int:
    headers = {} if header is None else {"Authorization": header}
    return client.post("/v1/audio/speech", json=GOOD, headers=headers).status_code


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_written_in_any_case(keyed: FlaskClient, scheme: str) -> None:
    assert status(keyed, f"{scheme} {KEY}") == 200
    assert status(keyed, f"{scheme}   {KEY} ") == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        KEY,
        f"Digest {KEY}",  # as long as the right scheme
        f"Basic {KEY}",
        "Bearer",
        "Bearer ",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY.upper()}",
        "Bearer clé",
    ],
)
def test_nothing_else_opens_the_server(keyed: FlaskClient, header: str | None) -> None:
    assert status(keyed, header) == 401


def test_an_unknown_path_is_a_404_without_a_key_too(keyed: FlaskClient) -> None:
    reply = keyed.post("/v1/audio/nothing", json=GOOD)
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_need_no_key(keyed: FlaskClient, path: str) -> None:
    assert keyed.get(path).status_code == 200


@pytest.mark.parametrize(("public", "expected"), [(True, 200), (False, 401)])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/audio/voices", "/v1/models/tone"])
def test_listings_are_open_unless_the_operator_closes_them(
    tone_settings: Settings, path: str, public: bool, expected: int
) -> None:
    settings = replace(tone_settings, api_keys=(KEY,), public_discovery=public)
    with running(settings) as client:
        assert client.get(path).status_code == expected
        assert client.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_discovery_never_opens_a_change(keyed: FlaskClient) -> None:
    assert keyed.delete("/v1/audio/voices/alloy").status_code == 401
    assert keyed.post("/v1/audio/voices").status_code == 401


def test_without_keys_a_caller_may_change_what_was_added(tone_settings: Settings) -> None:
    with running(replace(tone_settings, api_keys=())) as client:
        reply = client.delete("/v1/audio/voices/voice_unknown")
        assert reply.status_code == 404
