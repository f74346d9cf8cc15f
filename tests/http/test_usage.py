"""``GET /v1/organization/usage/audio_speeches``: what each key has used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import running
from tests.support.uploads import JANE, JOHN, KEYS, NOBODY, Headers, error_of
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.accounts.usage_store import HOUR, Amounts, Slot
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

URL = "/v1/organization/usage/audio_speeches"
DAY = 24 * HOUR
OPERATOR = {"Authorization": "Bearer the operator's"}
JANE_ID, JOHN_ID = (unnamed(key).id for key in KEYS)


@pytest.fixture
def client(tone_settings: Settings, tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of a server with three keys, one of them the operator's."""
    file = tmp_path / "keys.toml"
    file.write_text(
        f'[keys.jane]\nkey = "{KEYS[0]}"\n[keys.john]\nkey = "{KEYS[1]}"\n'
        '[keys.boss]\nkey = "the operator\'s"\noperator = true\n'
    )
    settings = replace(tone_settings, engine="cloning-tone", api_keys_file=file)
    with running(settings) as client:
        yield client


def used(client: FlaskClient, headers: Headers, **query: Any) -> dict[str, Any]:
    reply = client.get(URL, query_string={"start_time": 0, **query}, headers=headers)
    assert reply.status_code == 200, reply.text
    page: dict[str, Any] = reply.get_json()
    return page


def results(client: FlaskClient, headers: Headers, **query: Any) -> set[tuple[Any, ...]]:
    """Return the key, the model, the requests and the characters of today's results."""
    page = used(client, headers, **{"start_time": int(time.time()), **query})
    return {
        (one["api_key_name"], one["model"], one["num_model_requests"], one["characters"])
        for one in page["data"][0]["results"]
    }


def say(client: FlaskClient, headers: Headers, text: str = "Hello.", model: str = "tts-1") -> Any:
    body = {"model": model, "input": text, "voice": "coral"}
    return client.post("/v1/audio/speech", json=body, headers=headers)


def test_a_key_sees_its_own_usage_and_the_operator_all(client: FlaskClient) -> None:
    for headers, text in ((JANE, "Hello."), (JANE, "Hi."), (JOHN, "How are you?")):
        assert say(client, headers, text).data
    assert results(client, JANE) == {(None, None, 2, 9)}
    assert results(client, JOHN) == {(None, None, 1, 12)}
    assert results(client, OPERATOR) == {(None, None, 3, 21)}
    grouped = {("jane", None, 2, 9), ("john", None, 1, 12)}
    assert results(client, OPERATOR, group_by="api_key_id") == grouped
    assert results(client, JANE, group_by="api_key_id") == {("jane", None, 2, 9)}
    assert results(client, JANE, api_key_ids=[f"key_{JOHN_ID}", "john"]) == set()
    for name in ("john", JOHN_ID, f"key_{JOHN_ID}"):
        assert results(client, OPERATOR, api_key_ids=[name]) == {(None, None, 1, 12)}
    assert client.get(URL, query_string={"start_time": 0}).status_code == 401


def test_models_are_told_apart_and_have_their_own_ids(client: FlaskClient) -> None:
    assert say(client, JANE, model="TTS-1").data
    assert say(client, JANE, model="openai/tts-1-hd").data
    both = {(None, "tts-1", 1, 6), (None, "tts-1-hd", 1, 6)}
    assert results(client, JANE, **{"group_by[]": "model"}) == both
    assert results(client, JANE, models="tts-1-hd") == {(None, None, 1, 6)}
    assert results(client, JANE, **{"models[]": ["tts-1", "tts-1-hd"]}) == {(None, None, 2, 12)}


def test_every_kind_of_speech_counts(client: FlaskClient) -> None:
    eleven = "/v1/text-to-speech/coral/stream/with-timestamps"
    assert client.post(eleven, json={"text": "12345"}, headers=JANE).data
    items = [{"input": "1234567"}, {"input": "123"}, {"input": ""}]
    batch = {"items": items, "voice": "coral"}
    assert client.post("/v1/audio/speech/batch", json=batch, headers=JANE).data
    assert results(client, JANE) == {(None, None, 3, 15)}
    design = {"name": "x", "description": "a calm old man"}
    assert client.post("/v1/voices", json=design, headers=JANE).status_code == 200
    ((_, _, requests, characters),) = results(client, JANE)
    assert (requests, characters > 15) == (6, True)


def test_of_a_stream_that_is_left_only_what_was_made_counts(client: FlaskClient) -> None:
    text = " ".join(f"This is sentence number {n} of the text that is left." for n in range(40))
    body = {"model": "tts-1", "input": text, "voice": "coral", "response_format": "pcm"}
    reply = client.post("/v1/audio/speech", json=body, headers=JANE, buffered=False)
    assert next(reply.iter_encoded())
    reply.close()
    ((_, _, requests, characters),) = results(client, JANE)
    assert requests == 1
    assert 0 < characters < len(text) / 2


def test_what_is_refused_or_fails_does_not_count(client: FlaskClient) -> None:
    assert say(client, JANE, "").status_code == 400
    assert say(client, NOBODY).status_code == 401
    assert results(client, OPERATOR) == set()


def test_without_keys_usage_has_none(tone_settings: Settings) -> None:
    with running(replace(tone_settings, engine="cloning-tone")) as client:
        assert say(client, NOBODY).data
        page = used(client, NOBODY, start_time=int(time.time()), group_by="api_key_id")
        assert page["data"][0]["results"] == [
            {
                "object": "organization.usage.audio_speeches.result",
                "characters": 6,
                "num_model_requests": 1,
                "project_id": None,
                "user_id": None,
                "api_key_id": None,
                "api_key_name": None,
                "model": None,
            }
        ]


def test_buckets_are_whole_days_or_hours_with_pages(client: FlaskClient) -> None:
    day = 20_000 * DAY
    store = context_of(client.application).usage
    hours = (day + HOUR, day + 5 * HOUR, day + 2 * DAY)
    recent = [hour + 10**9 // DAY * DAY for hour in hours]  # not too old to be kept
    store.add({Slot(hour, JANE_ID, "tts-1"): Amounts(1, 10) for hour in recent})
    start = recent[0] + 7
    page = used(client, JANE, start_time=start, end_time=start + 3 * DAY, limit=2)
    first = recent[0] // DAY * DAY
    told = [
        (one["start_time"] - first, one["end_time"] - first, one["object"]) for one in page["data"]
    ]
    assert told == [(0, DAY, "bucket"), (DAY, 2 * DAY, "bucket")]
    assert [len(one["results"]) for one in page["data"]] == [1, 0]
    assert page["data"][0]["results"][0]["characters"] == 20
    assert (page["object"], page["has_more"]) == ("page", True)
    rest = used(
        client, JANE, start_time=start, end_time=start + 3 * DAY, limit=2, page=page["next_page"]
    )
    assert [one["start_time"] - first for one in rest["data"]] == [2 * DAY, 3 * DAY]
    assert (rest["has_more"], rest["next_page"]) == (False, None)
    hourly = used(client, JANE, start_time=first, end_time=first + 6 * HOUR, bucket_width="1h")
    found = [len(one["results"]) for one in hourly["data"]]
    assert found == [0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({}, "start_time"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"start_time": "-1"}, "start_time"),
        ({"start_time": "9" * 30}, "start_time"),
        ({"start_time": 9, "end_time": 9}, "end_time"),
        ({"start_time": 0, "bucket_width": "1m"}, "bucket_width"),
        ({"start_time": 0, "bucket_width": "1y"}, "bucket_width"),
        ({"start_time": 0, "limit": 32}, "limit"),
        ({"start_time": 0, "limit": 0}, "limit"),
        ({"start_time": 0, "group_by": "colour"}, "group_by"),
        ({"start_time": 0, "page": "next"}, "page"),
        ({"start_time": 0, "page": "page_7"}, "page"),
        ({"start_time": 200_000, "page": "page_86400"}, "page"),
        ({"start_time": 0, "project_ids[]": "proj_1"}, "project_ids"),
        ({"start_time": 0, "user_ids": "user_1"}, "user_ids"),
    ],
)
def test_a_wrong_query_is_a_400(client: FlaskClient, query: dict[str, Any], param: str) -> None:
    reply = client.get(URL, query_string=query, headers=JANE)
    assert error_of(reply)[:2] == (400, param)


def test_a_file_that_is_broken_fails_no_speech_and_is_told_in_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    ctx = context_of(client.application)
    ctx.usage.path.parent.mkdir(parents=True, exist_ok=True)
    ctx.usage.path.write_bytes(b"this is no database" * 100)
    reply = say(client, JANE)
    assert (reply.status_code, bool(reply.data)) == (200, True)
    reply = client.get(URL, query_string={"start_time": 0}, headers=JANE)
    assert (reply.status_code, error_of(reply)[2]) == (503, "usage_unreadable")
    assert ctx.accounts.usage.failures == 1
    assert any("usage cannot be written" in line for line in caplog.messages)
    ctx.usage.path.unlink()
    assert results(client, JANE) == {(None, None, 1, 6)}
