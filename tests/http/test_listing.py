"""Models, voices, health, keys and CORS: everything but speech."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from tests.conftest import started
from tests.support.stock import OPENAI_MODELS
from voxcpm_openai.settings import Settings

MODELS = [
    *OPENAI_MODELS,
    "tone",
]


def test_models_are_listed_in_openais_shape(client: FlaskClient) -> None:
    body = client.get("/v1/models").get_json()
    assert body["object"] == "list"
    assert sorted(model["id"] for model in body["data"]) == sorted(MODELS)
    for model in body["data"]:
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert client.get(f"/v1/models/{model['id']}").get_json() == model


def test_open_webui_finds_the_models(client: FlaskClient) -> None:
    body = client.get("/v1/audio/models").get_json()
    assert sorted(model["id"] for model in body["models"]) == sorted(MODELS)


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/audio/voices", "/v1/audio/voices?model=tts-1"])
def test_voices_are_listed_twice_in_one_answer(client: FlaskClient, path: str) -> None:
    body = client.get(path).get_json()
    assert body["object"] == "list"
    assert body["voices"] == body["data"]
    ids = [voice["id"] for voice in body["voices"]]
    assert ids == sorted(ids)
    assert {"alloy", "sine", "mute", "verse"} <= set(ids)
    for voice in body["voices"]:
        assert voice["object"] == "audio.voice"
        assert voice["name"]
        assert client.get(f"/v1/voices/{voice['id']}").get_json() == voice


def test_legacy_clients_get_ids_only(client: FlaskClient) -> None:
    body = client.get("/v1/audio/voices?legacy=true").get_json()
    assert "alloy" in body["voices"]
    assert all(isinstance(voice, str) for voice in body["voices"])


def test_health_is_json_and_readiness_shows_the_engine(client: FlaskClient) -> None:
    health = client.get("/health")
    assert health.content_type == "application/json"
    assert health.get_json()["engine"] == {"name": "tone", "state": "ready"}
    ready = client.get("/ready").get_json()
    assert ready["status"] == "ready"
    assert ready["engine"]["name"] == "tone"
    assert ready["streams"] == {"running": 0, "limit": 64}


@pytest.fixture
def locked(tone_settings: Settings) -> FlaskClient:
    return started(
        replace(tone_settings, api_keys=("first key", "zweiter Schlüssel"))
    ).test_client()


BODY = {"model": "tts-1", "input": "Hello."}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic x"}]
)
def test_no_key_is_a_401_without_a_code(locked: FlaskClient, headers: dict[str, str]) -> None:
    reply = locked.post("/v1/audio/speech", json=BODY, headers=headers)
    error = reply.get_json()["error"]
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)


def test_a_wrong_key_is_a_401_invalid_api_key(locked: FlaskClient) -> None:
    reply = locked.post("/v1/audio/speech", json=BODY, headers=bearer("second key"))
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (401, "invalid_api_key")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["first key", "zweiter Schlüssel".encode().decode("latin-1")])
def test_a_key_may_contain_spaces_and_umlauts(locked: FlaskClient, key: str) -> None:
    reply = locked.post("/v1/audio/speech", json=BODY, headers=bearer(key))
    assert reply.status_code == 200


def test_the_key_is_checked_before_the_body(locked: FlaskClient) -> None:
    assert locked.post("/v1/audio/speech", data=b"{").status_code == 401


@pytest.mark.parametrize("path", ["/v1/models", "/v1/audio/models", "/v1/audio/voices", "/health"])
def test_discovery_is_public_by_default(locked: FlaskClient, path: str) -> None:
    assert locked.get(path).status_code == 200


def test_discovery_can_require_a_key_but_probes_never_do(tone_settings: Settings) -> None:
    settings = replace(tone_settings, api_keys=("key",), public_discovery=False)
    client = started(settings).test_client()
    assert client.get("/v1/models").status_code == 401
    assert client.get("/v1/models", headers=bearer("key")).status_code == 200
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 200


def test_deleting_requires_a_key(locked: FlaskClient) -> None:
    assert locked.delete("/v1/voices/alloy").status_code == 401


@pytest.mark.parametrize("value", ["", "Bearer ", "Bearer undefined", "undefined"])
def test_without_configured_keys_no_key_is_needed(client: FlaskClient, value: str) -> None:
    headers = {"Authorization": value} if value else {}
    assert client.post("/v1/audio/speech", json=BODY, headers=headers).status_code == 200


def test_cors_is_off_unless_origins_are_configured(
    client: FlaskClient, tone_settings: Settings
) -> None:
    page = {"Origin": "https://page.example"}
    assert "Access-Control-Allow-Origin" not in client.get("/v1/models", headers=page).headers
    settings = replace(tone_settings, cors_origins=("https://page.example",), api_keys=("key",))
    open_client = started(settings).test_client()
    reply = open_client.get("/v1/models", headers=page)
    assert reply.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert "x-request-id" in reply.headers["Access-Control-Expose-Headers"]
    preflight = open_client.options(
        "/v1/audio/speech",
        headers={
            **page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        },
    )
    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
    other = open_client.get("/v1/models", headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.parametrize(("origin", "allowed"), [("page", "true"), ("other", None)])
def test_pages_of_allowed_origins_may_call_a_server_in_a_private_network(
    tone_settings: Settings, origin: str, allowed: str | None
) -> None:
    client = started(replace(tone_settings, cors_origins=("https://page.example",))).test_client()
    headers = {
        "Origin": f"https://{origin}.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    reply = client.options("/v1/audio/speech", headers=headers)
    assert reply.headers.get("Access-Control-Allow-Private-Network") == allowed
