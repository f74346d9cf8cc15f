"""What a key may use: 429 in OpenAI's and ElevenLabs' shape, and what is left in headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import running
from tests.support.clock import Clock, rate_clock
from tests.support.uploads import JANE, JOHN, KEYS, NOBODY, Headers, speak
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
ELEVEN = "/v1/text-to-speech/coral"
TEXT = "Hello there."


@pytest.fixture
def clock() -> Iterator[Clock]:
    with rate_clock() as clock:
        yield clock


Limited = Callable[..., FlaskClient]


@pytest.fixture
def limited(tone_settings: Settings, clock: Clock) -> Iterator[Limited]:
    """Return a client of a server with two keys and these limits."""
    with ExitStack() as stack:

        def start(**limits: Any) -> FlaskClient:
            settings = replace(tone_settings, engine="cloning-tone", api_keys=KEYS, **limits)
            return stack.enter_context(running(settings))

        yield start


def say(client: FlaskClient, headers: Headers = JANE, text: str = TEXT) -> TestResponse:
    body = {"model": "tts-1", "input": text, "voice": "coral"}
    return client.post(SPEECH, json=body, headers=headers, buffered=True)


def rates(reply: TestResponse) -> dict[str, str]:
    start = "x-ratelimit-"
    return {n[len(start) :]: v for n, v in reply.headers.items() if n.startswith(start)}


def test_a_refusal_has_openais_shape_and_a_retry_after_that_is_true(
    limited: Limited, clock: Clock
) -> None:
    client = limited(requests_per_minute=2)
    assert [say(client).status_code for _ in range(2)] == [200, 200]
    reply = say(client)
    assert reply.status_code == 429
    seconds = int(reply.headers["Retry-After"])
    assert reply.get_json()["error"] == {
        "message": f"Rate limit reached: 2 requests per minute. Try again in {seconds} s.",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert rates(reply)["remaining-requests"] == "0"
    clock.now += seconds
    assert say(client).status_code == 200


def test_another_key_and_clients_without_one_have_their_own(limited: Limited) -> None:
    client = limited(requests_per_minute=1)
    assert [say(client, who).status_code for who in (JANE, JANE, JOHN)] == [200, 429, 200]
    assert client.get("/v1/voices", headers=JANE).status_code == 200
    assert client.get("/v1/voices").status_code == 200


def test_what_is_left_is_in_headers_as_openai_names_them(limited: Limited) -> None:
    client = limited(requests_per_minute=60, characters_per_minute=100)
    assert rates(say(client)) == {
        "limit-requests": "60",
        "remaining-requests": "59",
        "reset-requests": "2m0s",
        "limit-tokens": "100",
        "remaining-tokens": str(100 - len(TEXT)),
        "reset-tokens": "2m0s",
    }
    assert rates(client.get("/v1/models", headers=JANE)) == {}
    assert rates(say(limited())) == {}


def test_a_text_that_is_longer_than_the_limit_is_not_retried(limited: Limited) -> None:
    reply = say(limited(characters_per_minute=10))
    assert (reply.status_code, reply.headers["x-should-retry"]) == (429, "false")
    assert "Retry-After" not in reply.headers


def test_elevenlabs_clients_get_it_in_their_shape(limited: Limited) -> None:
    client = limited(requests_per_minute=1)
    headers = {"xi-api-key": KEYS[0]}
    replies = [client.post(ELEVEN, json={"text": TEXT}, headers=headers) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 429]
    assert replies[1].get_json()["detail"]["status"] == "rate_limit_exceeded"
    assert "Retry-After" in replies[1].headers


def test_each_item_of_a_batch_and_each_candidate_is_a_request(limited: Limited) -> None:
    client = limited(requests_per_minute=10)
    batch = {"items": [{"input": TEXT}] * 3 + [{"input": ""}], "voice": "coral"}
    reply = client.post(f"{SPEECH}/batch", json=batch, headers=JANE)
    assert rates(reply)["remaining-requests"] == "7"  # what is wrong is not charged
    design = {"name": "x", "description": "a calm old man"}
    reply = client.post("/v1/voices", json=design, headers=JANE)
    assert rates(reply)["remaining-requests"] == "4"
    batch["items"] = [{"input": TEXT}] * 5
    assert client.post(f"{SPEECH}/batch", json=batch, headers=JANE).status_code == 429
    batch["items"].pop()  # nothing was taken
    assert client.post(f"{SPEECH}/batch", json=batch, headers=JANE).status_code == 200


@pytest.mark.parametrize("fault", [{"voice": "nobody"}, {"input": ""}, {"speed": 9}])
def test_a_request_that_is_wrong_is_not_charged(limited: Limited, fault: dict[str, Any]) -> None:
    client = limited(requests_per_minute=1)
    body = {"model": "tts-1", "input": TEXT, "voice": "coral", **fault}
    assert client.post(SPEECH, json=body, headers=JANE).status_code == 400
    assert say(client).status_code == 200


def test_a_request_that_finds_no_room_is_not_charged(limited: Limited) -> None:
    client = limited(requests_per_minute=1, max_streams=1)
    with context_of(client.application).limits.enter():
        assert say(client).status_code == 503
    assert say(client).status_code == 200


def test_a_key_has_no_more_streams_at_once_than_it_may(limited: Limited) -> None:
    client = limited(streams_per_key=2)
    with held(client, 2):
        reply = say(client)
        assert (reply.status_code, say(client, JOHN).status_code) == (429, 200)
        assert reply.get_json()["error"]["code"] == "rate_limit_exceeded"
        assert reply.headers["Retry-After"] == "1"
    assert say(client).status_code == 200


def test_a_batch_and_a_design_take_the_streams_that_are_there(limited: Limited) -> None:
    client = limited(streams_per_key=2)
    batch = {"items": [{"input": TEXT}] * 5, "voice": "coral"}
    with held(client, 1):
        reply = client.post(f"{SPEECH}/batch", json=batch, headers=JANE)
        assert reply.get_json()["succeeded"] == 5
    design = {"name": "x", "description": "a calm old man"}
    assert client.post("/v1/voices", json=design, headers=JANE).status_code == 200


def test_without_keys_all_clients_are_one(tone_settings: Settings, clock: Clock) -> None:
    with running(replace(tone_settings, engine="cloning-tone", requests_per_minute=2)) as client:
        found = [say(client, who).status_code for who in (JANE, JOHN, NOBODY)]
        assert found == [200, 200, 429]


def test_limits_of_a_key_come_before_those_of_the_settings(
    tone_settings: Settings, tmp_path: Path, clock: Clock
) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(
        f'[keys.jane]\nkey = "{KEYS[0]}"\nrequests_per_minute = 0\n'
        f'[keys.john]\nkey = "{KEYS[1]}"\nrequests_per_minute = 2\n'
    )
    settings = replace(
        tone_settings, engine="cloning-tone", api_keys_file=file, requests_per_minute=1
    )
    with running(settings) as client:
        assert [say(client).status_code for _ in range(3)] == [200, 200, 200]
        assert [say(client, JOHN).status_code for _ in range(3)] == [200, 200, 429]


def test_an_operators_key_acts_as_the_operator(tone_settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f'[keys.jane]\nkey = "{KEYS[0]}"\noperator = true\n[keys.john]\nkey = "x"\n')
    settings = replace(tone_settings, engine="cloning-tone", api_keys_file=file)
    with running(settings) as client:
        body = {"type": "prompt", "name": "x", "prompt": "y"}
        added = client.post("/v1/audio/voices", json=body, headers=JANE).get_json()["id"]
        john = {"Authorization": "Bearer x"}
        assert client.get(f"/v1/voices/{added}", headers=john).status_code == 200
        assert client.delete(f"/v1/voices/{added}", headers=john).status_code == 400
        assert client.delete(f"/v1/voices/{added}", headers=JANE).status_code == 200


def test_pages_may_read_the_headers(limited: Limited) -> None:
    client = limited(requests_per_minute=9, cors_origins=("https://a.example",))
    reply = speak(client, "coral", {**JANE, "Origin": "https://a.example"})
    exposed = reply.headers["Access-Control-Expose-Headers"]
    for name in ("x-ratelimit-remaining-requests", "x-ratelimit-reset-tokens", "retry-after"):
        assert name in exposed


@contextmanager
def held(client: FlaskClient, count: int) -> Iterator[None]:
    """Hold this many of Jane's streams."""
    ctx = context_of(client.application)
    account = ctx.accounts.of(ctx.accounts.keys.find(KEYS[0].encode()))
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(ctx.limits.enter(account.holder))
        yield
