"""``/metrics``: what is counted per request, access, state, and the admin address."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import running
from tests.support.metrics import Scrape
from tests.support.uploads import JANE, KEYS
from voxcpm_openai.contracts import EngineState
from voxcpm_openai.lifecycle import STATES
from voxcpm_openai.metrics.families import MAX_CODES
from voxcpm_openai.metrics.state import PUBLISHED_STATES
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
GOOD = {"model": "tts-1", "input": "Hello there.", "voice": "alloy", "response_format": "pcm"}
LABELS = {"model": "tts-1", "voice_kind": "plugin", "format": "pcm"}
ON_ADMIN_PORT: dict[str, Any] = {"gunicorn.socket": SimpleNamespace(admin=True)}


def scrape(client: FlaskClient) -> Scrape:
    reply = client.get("/metrics")
    assert reply.status_code == 200
    return Scrape(reply.text)


def speak(client: FlaskClient, **fields: object) -> None:
    reply = client.post(SPEECH, json={**GOOD, **fields}, buffered=False)
    assert reply.data
    reply.close()


def test_a_speech_is_counted_by_model_voice_kind_format_and_outcome(client: FlaskClient) -> None:
    speak(client)
    found = scrape(client)
    assert found.sum("voxcpm_speeches_total", **LABELS, outcome="done") == 1
    assert found.sum("voxcpm_characters_total", **LABELS) == len(GOOD["input"])
    assert found.sum("voxcpm_audio_seconds_total", **LABELS) == pytest.approx(0.48)
    assert found.sum("voxcpm_first_audio_seconds_count", **LABELS) == 1
    assert found.sum("voxcpm_real_time_factor_count", **LABELS) == 1
    assert 0 < found.sum("voxcpm_real_time_factor_sum", **LABELS) < 10
    route = {"route": SPEECH, "method": "POST", "status": "200"}
    assert found.sum("voxcpm_http_requests_total", **route) == 1


@pytest.mark.parametrize(
    ("fields", "outcome", "code"),
    [
        ({"voice": "nobody"}, "refused", "http_400"),
        ({"model": "nothing"}, "refused", "model_not_found"),
        ({"voice": "coral"}, "refused", "cannot_clone"),
        ({"input": ""}, "refused", "http_400"),
    ],
)
def test_a_refused_request_is_counted_with_its_code(
    client: FlaskClient, fields: dict[str, str], outcome: str, code: str
) -> None:
    client.post(SPEECH, json={**GOOD, **fields}).close()
    found = scrape(client)
    assert found.sum("voxcpm_speeches_total", outcome=outcome) == 1
    assert found.labels("voxcpm_refusals_total") == [{"code": code}]
    assert found.sum("voxcpm_audio_seconds_total") == 0


def test_a_disconnect_is_counted_as_cancelled(app: Flask) -> None:
    reply = app.test_client().post(SPEECH, json={**GOOD, "input": "hang-late"}, buffered=False)
    reply.close()
    found = scrape(app.test_client())
    assert found.sum("voxcpm_speeches_total", **LABELS, outcome="cancelled") == 1


def test_an_error_event_within_a_stream_is_a_failure(client: FlaskClient) -> None:
    speak(client, model="tone", stream_format="sse", input="fail-late")
    found = scrape(client)
    assert [labels["outcome"] for labels in found.labels("voxcpm_speeches_total")] == ["failed"]


def test_each_item_of_a_batch_is_a_speech(client: FlaskClient) -> None:
    items = [{"input": "Hello."}, {"input": "Hi.", "voice": "nobody"}, {"input": "Good."}]
    client.post(f"{SPEECH}/batch", json={"items": items}).close()
    found = scrape(client)
    assert found.sum("voxcpm_speeches_total", outcome="done", format="wav") == 2
    assert found.sum("voxcpm_speeches_total", outcome="refused") == 1


def test_names_from_requests_are_no_label_values(client: FlaskClient) -> None:
    for name in ("one", "two", "three"):
        client.post(SPEECH, json={**GOOD, "model": name, "response_format": name}).close()
        client.get(f"/{name}").close()
        client.open("/v1/models", method=name.upper()).close()
        client.post(SPEECH, json={**GOOD, "voice": name}).close()
    text = scrape(client).text
    assert all(name not in text.lower() for name in ('"one"', '"two"', '"three"'))


def test_the_codes_of_plugins_are_bounded(client: FlaskClient) -> None:
    metrics = context_of(client.application).metrics
    for number in range(2 * MAX_CODES):
        metrics.refused(f"code_{number}")
    codes = scrape(client).labels("voxcpm_refusals_total")
    assert len(codes) == MAX_CODES + 1
    assert {"code": "other"} in codes


def test_the_state_and_the_names_for_autoscaling(client: FlaskClient) -> None:
    found = scrape(client)
    assert found.sum("voxcpm_engine_state", engine="tone", state="ready") == 1
    assert found.sum("voxcpm_engine_state", engine="tone") == 1
    assert found.sum("voxcpm_streams_limit") == 64
    assert found.sum("voxcpm_engine_detail", name="started") == 0
    assert found.sum("voxcpm_process_resident_memory_bytes") > 1e6
    for name in ("running", "waiting"):
        labels = found.labels(f"vllm:num_requests_{name}")
        assert labels == [{"model_name": "gpt-4o-mini-tts"}]


def test_a_running_stream_is_seen(app: Flask) -> None:
    reply = app.test_client().post(SPEECH, json={**GOOD, "input": "hang-late"}, buffered=False)
    found = scrape(app.test_client())
    assert found.sum("voxcpm_streams_running") == found.sum("vllm:num_requests_running") == 1
    reply.close()
    assert scrape(app.test_client()).sum("voxcpm_streams_running") == 0


def test_all_states_of_workers_and_engines_are_published() -> None:
    assert set(PUBLISHED_STATES) == {*STATES, *get_args(EngineState)}


def test_an_unloaded_engine_is_a_state_and_has_no_details(tone_settings: Settings) -> None:
    with running(replace(tone_settings, idle_unload=1e6)) as client:
        speak(client)
        assert scrape(client).sum("voxcpm_engine_detail", name="started") == 1
        assert context_of(client.application).engine.unload()
        found = scrape(client)
    states = found.labels("voxcpm_engine_state")
    current = [one for one in states if found.sum("voxcpm_engine_state", **one)]
    assert [one["state"] for one in current] == ["unloaded"]
    assert found.sum("voxcpm_engine_detail") == 0


def test_the_counts_of_the_cache(
    tone_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with running(replace(tone_settings, cache_mb=10)) as client:
        size = len(client.post(SPEECH, json=GOOD).data)
        for hits in (0, 1, 2):
            for _ in range(2):  # a scrape counts nothing twice
                found = scrape(client)
                assert found.sum("voxcpm_cache_hits_total") == hits
                assert found.sum("voxcpm_cache_misses_total") == 1
                assert found.sum("voxcpm_cache_bytes") == size
            speak(client)
        context_of(client.application).state.stop()
        registry = context_of(client.application).metrics._registry
        assert registry.get_sample_value("voxcpm_cache_hits_total") == 3


def test_without_a_cache_its_counts_are_zero(client: FlaskClient) -> None:
    speak(client)
    found = scrape(client)
    for name in ("hits_total", "misses_total", "bytes"):
        assert found.labels(f"voxcpm_cache_{name}") == [{}]
        assert found.sum(f"voxcpm_cache_{name}") == 0


def test_the_exposition_format_is_negotiated(client: FlaskClient) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    reply = client.get("/metrics", headers={"Accept": accept})
    assert reply.content_type.startswith("application/openmetrics-text")
    assert reply.text.endswith("# EOF\n")
    assert client.get("/metrics").content_type.startswith("text/plain; version=")


def test_the_admin_address_needs_no_key_and_serves_nothing_else(
    tone_settings: Settings,
) -> None:
    with running(replace(tone_settings, api_keys=KEYS)) as client:
        statuses = {
            path: client.get(path, environ_overrides=ON_ADMIN_PORT, headers=JANE).status_code
            for path in ("/metrics", "/health", "/ready", "/v1/models", "/v1/voices", "/nothing")
        }
        reply = client.post(SPEECH, json=GOOD, headers=JANE, environ_overrides=ON_ADMIN_PORT)
        assert client.get("/metrics", environ_overrides=ON_ADMIN_PORT).status_code == 200
    assert [*statuses.values(), reply.status_code] == [200, 200, 200, 404, 404, 404, 404]
