"""Cached speech over HTTP: the same bytes and headers, without a synthesis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import running
from tests.support.uploads import JANE, JOHN, KEYS, NOBODY, Headers, added
from voxcpm_openai.cache.speech_cache import SpeechCache
from voxcpm_openai.checked_stream import CheckedStream
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Usage
from voxcpm_openai.errors import SynthesisFailed
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
GOOD: dict[str, Any] = {
    "model": "tts-1",
    "voice": "alloy",
    "input": "Hello there.",
    "response_format": "pcm",
}
VARYING = ("x-request-id", "openai-processing-ms", "x-voxcpm-cache", "Date")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "voxcpm-openai" / "speech"


@pytest.fixture
def cached(tone_settings: Settings, folder: Path) -> Iterator[FlaskClient]:
    assert not folder.exists()
    with running(replace(tone_settings, cache_mb=10)) as client:
        yield client


def context(client: FlaskClient) -> AppContext:
    return context_of(client.application)


def syntheses(client: FlaskClient) -> int:
    """Return the number of syntheses so far."""
    engine: Any = context(client).engine.get()
    return len(engine.utterances)


def ask(
    client: FlaskClient, path: str = SPEECH, headers: Headers = NOBODY, **fields: Any
) -> TestResponse:
    reply = client.post(path, json={**GOOD, **fields}, headers=headers)
    assert reply.status_code == 200, reply.data
    assert reply.data
    return reply


def found(reply: TestResponse) -> str | None:
    return reply.headers.get("x-voxcpm-cache")


SSE: dict[str, Any] = {"stream_format": "sse", "model": "gpt-4o-mini-tts"}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        *((SPEECH, {"response_format": name}) for name in ("mp3", "opus", "wav", "flac", "pcm")),
        (SPEECH, SSE),
        (SPEECH, {"instructions": "Shout.", "odd": 1}),
        ("/v1/text-to-speech/alloy/stream?output_format=opus_48000_64", {"text": "Hello."}),
        ("/v1/text-to-speech/alloy/with-timestamps", {"text": "Hello."}),
        ("/v1/text-to-speech/alloy/stream/with-timestamps", {"text": "Hello."}),
    ],
)
def test_the_second_request_gets_the_same_bytes_and_headers(
    cached: FlaskClient, path: str, fields: dict[str, Any]
) -> None:
    first = ask(cached, path, **fields)
    second = ask(cached, path, **fields)
    assert (found(first), found(second)) == ("miss", "hit")
    assert second.data == first.data
    assert syntheses(cached) == 1
    plain = [
        {name: value for name, value in reply.headers.items() if name not in VARYING}
        for reply in (first, second)
    ]
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "Hello there!"},
        {"voice": "sine"},
        {"response_format": "wav"},
        {"speed": 1.5},
        {"seed": 1},
        {"lead_ms": 10},
        {"tail_ms": 10},
        {"lexicon": {"there": "here"}},
        SSE,
    ],
)
def test_a_different_request_is_a_miss(cached: FlaskClient, fields: dict[str, Any]) -> None:
    ask(cached)
    assert found(ask(cached, **fields)) == "miss"
    assert found(ask(cached)) == "hit"


@pytest.mark.parametrize(
    "fields",
    [
        {"input": " Hello   there. "},  # the same text after planning
        {"voice": "ALLOY"},
        {"speed": 1},
        {"model": "tts-1-hd"},  # with the same options for this engine
        {"user": "me"},
        {"instructions": "Shout."},  # which this engine ignores
    ],
)
def test_an_equivalent_request_is_a_hit(cached: FlaskClient, fields: dict[str, Any]) -> None:
    ask(cached)
    assert found(ask(cached, **fields)) == "hit"


def test_a_hit_needs_no_permit_and_no_loaded_engine(tone_settings: Settings, folder: Path) -> None:
    settings = replace(tone_settings, cache_mb=10, max_streams=1, idle_unload=1e6)
    with running(settings) as client:
        ask(client)
        assert folder.is_dir()
        assert context(client).engine.unload()
        with context(client).limits.enter():
            assert found(ask(client)) == "hit"
            assert client.post(SPEECH, json={**GOOD, "seed": 1}).status_code == 503
        assert context(client).engine.state == "unloaded"


def test_a_hit_counts_as_a_request_and_its_characters(
    tone_settings: Settings, folder: Path
) -> None:
    settings = replace(tone_settings, cache_mb=10, requests_per_minute=2, data_dir=folder.parent)
    with running(settings) as client:
        replies = [ask(client) for _ in range(2)]
        assert [found(reply) for reply in replies] == ["miss", "hit"]
        left = [reply.headers["x-ratelimit-remaining-requests"] for reply in replies]
        assert left == ["1", "0"]
        assert client.post(SPEECH, json=GOOD).status_code == 429
        context(client).accounts.usage.flush()
        url = f"/v1/organization/usage/audio_speeches?start_time={int(time.time())}"
        page = client.get(url).get_json()
        (result,) = [one for bucket in page["data"] for one in bucket["results"]]
        assert (result["num_model_requests"], result["characters"]) == (2, 2 * len(GOOD["input"]))


@pytest.mark.parametrize("text", ["fail-late", "hang-late"])
@pytest.mark.parametrize("fields", [{}, SSE])
def test_failed_or_cancelled_speech_is_not_stored(
    cached: FlaskClient, folder: Path, text: str, fields: dict[str, Any]
) -> None:
    for _ in range(2):
        reply = cached.post(SPEECH, json={**GOOD, **fields, "input": text}, buffered=False)
        assert found(reply) == "miss"
        body = iter(reply.response)
        next(body)
        if text == "fail-late":
            if fields:
                assert any(b"error" in bytes(part) for part in body if not isinstance(part, str))
            else:  # raw audio is broken off
                with pytest.raises(SynthesisFailed):
                    list(body)
        reply.close()
    assert not list(folder.glob("*.speech"))
    assert context(cached).limits.running == 0


def test_a_wrong_usage_is_an_error_event_and_not_stored(
    cached: FlaskClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Usage:
        raise SynthesisFailed("There is no usage.")

    monkeypatch.setattr(CheckedStream, "usage", property(fail))
    for _ in range(2):
        reply = ask(cached, **SSE)
        assert found(reply) == "miss"
        assert b"There is no usage." in reply.data
    assert not list(folder.glob("*.speech"))


def test_speech_without_a_key_is_a_miss(
    cached: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpeechCache, "key", lambda *_: None)  # the clip cannot be read
    assert [found(ask(cached)) for _ in range(2)] == ["miss", "miss"]


def test_an_error_keeps_its_status_and_releases_the_permit(cached: FlaskClient) -> None:
    reply = cached.post(SPEECH, json={**GOOD, "input": "fail-early"})
    assert reply.status_code == 503
    assert context(cached).limits.running == 0


def test_without_the_setting_nothing_is_stored(client: FlaskClient, folder: Path) -> None:
    assert found(ask(client)) is None
    assert not folder.exists()


def test_entries_survive_a_restart(tone_settings: Settings, folder: Path) -> None:
    settings = replace(tone_settings, cache_mb=10)
    for expected in ("miss", "hit"):
        with running(settings) as client:
            assert found(ask(client)) == expected
    assert len(list(folder.glob("*.speech"))) == 1


def test_another_engine_or_version_is_a_miss(tone_settings: Settings, folder: Path) -> None:
    settings = replace(tone_settings, cache_mb=10)
    with running(settings) as client:
        ask(client, model="tts-1")
        engine: Any = context(client).engine.get()
        engine.version = "2"
        assert found(ask(client, model="tts-1")) == "miss"
    with running(replace(settings, engine="cloning-tone")) as client:
        assert found(ask(client, model="tts-1")) == "miss"
    assert len(list(folder.glob("*.speech"))) == 3


def test_voices_are_cached_by_owner_and_deleted_with_their_entries(
    tone_settings: Settings, folder: Path, tmp_path: Path
) -> None:
    settings = replace(
        tone_settings,
        cache_mb=10,
        engine="cloning-tone",
        data_dir=tmp_path / "data",
        api_keys=KEYS,
        require_consent=False,
    )
    with running(settings) as client:
        voice = added(client, JANE, consent=None)
        fields: dict[str, Any] = {"voice": voice}
        assert found(ask(client, headers=JANE, **fields)) == "miss"
        assert found(ask(client, headers=JANE, **fields)) == "hit"
        reply = client.post(SPEECH, json={**GOOD, **fields}, headers=JOHN)
        assert reply.status_code == 400
        other = added(client, JOHN, consent=None)  # the same recording
        assert found(ask(client, headers=JOHN, voice=other)) == "miss"
        assert len(list(folder.glob("*.speech"))) == 2
        assert client.delete(f"/v1/voices/{voice}", headers=JANE).status_code == 200
        assert not list(folder.glob("*.speech"))
