"""``POST /v1/audio/speech/batch``: items side by side, their errors, and the limits."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import started
from tests.support.hostile_json import nested
from voxcpm_openai.limits import Holder
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine
from voxcpm_openai.web import speech_batch
from voxcpm_openai.web.app_context import BODY_LIMIT, context_of

BATCH = "/v1/audio/speech/batch"
SPEECH = "/v1/audio/speech"


def batch(client: FlaskClient, items: list[Any], **fields: object) -> dict[str, Any]:
    reply = client.post(BATCH, json={"items": items, **fields})
    assert reply.status_code == 200, reply.text
    assert reply.content_type == "application/json"
    body: dict[str, Any] = reply.get_json()
    assert [result["index"] for result in body["results"]] == list(range(len(items)))
    assert body["total"] == len(items)
    assert body["succeeded"] + body["failed"] == body["total"]
    return body


def audio(result: dict[str, Any]) -> bytes:
    assert result["status"] == "success", result
    return base64.b64decode(result["audio_data"])


def test_each_item_is_what_a_speech_request_with_its_fields_is(client: FlaskClient) -> None:
    items = [
        {"input": "One."},
        {"input": "One. Two.", "response_format": "mp3", "speed": 2},
        {"input": "Three.", "voice": "Sine", "sample_rate": None},
    ]
    shared = {"model": "tts-1", "voice": "alloy", "response_format": "pcm", "sample_rate": 16000}
    found = batch(client, items, **shared)
    for item, result in zip(items, found["results"], strict=True):
        given = {name: value for name, value in item.items() if value is not None}
        alone = client.post(SPEECH, json={**shared, **given})
        assert audio(result) == alone.data
        assert result["media_type"] == alone.content_type
        assert result["error"] is None
        usage = result["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert (found["succeeded"], found["failed"]) == (3, 0)
    assert found["id"]


def test_wav_and_the_default_model_need_not_be_named(client: FlaskClient) -> None:
    (result,) = batch(client, [{"input": "Hello."}])["results"]
    assert result["media_type"] == "audio/wav"
    assert audio(result).startswith(b"RIFF")


@pytest.mark.parametrize(
    ("item", "param", "code", "says"),
    [
        ({}, "input", None, "required"),
        ({"input": ""}, "input", None, "1 to 4096"),
        ({"input": "a" * 4097}, "input", None, "1 to 4096"),
        ({"input": "x", "voice": "nobody"}, "voice", None, "does not exist"),
        ({"input": "x", "voice": "mute"}, "voice", "cannot_clone", "mute"),
        ({"input": "x", "model": "whisper-1"}, "model", "model_not_found", "does not exist"),
        ({"input": "x", "speed": 9}, "speed", None, "0.25 to 4.0"),
        ({"input": "\ud800"}, "input", None, "lone surrogate"),
        ({"input": "x", "a": json.loads(nested(40))}, "a", None, "too deeply"),
        ({"input": "silent"}, "input", None, "no sound"),
        ({"input": "fail-early"}, None, None, "told to fail early"),
        ({"input": "fail-late"}, None, "synthesis_failed", "tone"),
    ],
)
def test_an_error_of_one_item_does_not_fail_the_others(
    client: FlaskClient, item: dict[str, object], param: str, code: str | None, says: str
) -> None:
    body = json.dumps({"items": [{"input": "One."}, item, {"input": "Two."}]})
    reply = client.post(BATCH, data=body, content_type="application/json")
    assert reply.status_code == 200
    found = reply.get_json()
    first, wrong, last = found["results"]
    assert audio(first) == audio(last)
    assert (found["succeeded"], found["failed"]) == (2, 1)
    assert (wrong["status"], wrong["audio_data"], wrong["media_type"]) == ("error", None, None)
    assert (wrong["param"], wrong["code"]) == (param, code)
    assert says in wrong["error"]
    ctx = context_of(client.application)
    assert (ctx.limits.running, ctx.engine.status().streams) == (0, 0)


def test_a_bug_is_no_words_to_the_client(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(speech_batch, "Speech", broken)
    (result,) = batch(client, [{"input": "One."}])["results"]
    assert "secret" not in result["error"]
    assert "an item of a batch failed" in caplog.text


@pytest.mark.parametrize(
    "items", [None, [], {}, "x", 7, [7], [None], [{"input": "x"}] * 33, [[]]], ids=repr
)
def test_what_is_no_list_of_1_to_32_objects_is_a_400(client: FlaskClient, items: object) -> None:
    reply = client.post(BATCH, json={"items": items, "model": "tts-1"})
    error = reply.get_json()["error"]
    assert (reply.status_code, error["param"]) == (400, "items")


def test_a_wrong_value_for_all_items_is_a_400(client: FlaskClient) -> None:
    body = b'{"items": [{"input": "x"}], "voice": "\\ud800"}'
    reply = client.post(BATCH, data=body, content_type="application/json")
    assert (reply.status_code, reply.get_json()["error"]["param"]) == (400, "voice")


def test_ignored_fields_of_all_items_are_named(client: FlaskClient) -> None:
    items = [{"input": "x", "a": 1}, {"input": "x", "instructions": "Whisper.", "a": 2}]
    reply = client.post(BATCH, json={"items": items, "task_type": "Base"})
    assert reply.headers["x-voxcpm-ignored"] == "task_type, a, instructions"


class Crowded(ToneEngine):
    """Waits in each stream until as many are open as will be, and counts the most."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.most = 0
        self._together = threading.Barrier(expected)

    def synthesize(self, utterance):
        self._together.wait(20)
        stream = super().synthesize(utterance)
        self.most = max(self.most, self.open)
        return stream


def test_items_run_together_as_far_as_the_limit_on_streams_allows(tone_settings: Settings) -> None:
    """With a limit of four and one stream elsewhere, three run at a time."""
    app = started(replace(tone_settings, max_streams=4))
    ctx = context_of(app)
    engine = Crowded(3)
    ctx.engine.get = lambda: engine
    with ctx.limits.enter():
        found = batch(app.test_client(), [{"input": "One."}] * 9)
        assert ctx.limits.running == 1
    assert found["succeeded"] == 9
    assert engine.most <= 3
    assert ctx.limits.running == 0


def test_without_room_for_a_single_stream_it_is_a_503(tone_settings: Settings) -> None:
    app = started(replace(tone_settings, max_streams=1))
    with context_of(app).limits.enter():
        reply = app.test_client().post(BATCH, json={"items": [{"input": "One."}]})
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (503, "overloaded")
    assert int(reply.headers["Retry-After"]) >= 1


class Hanging(ToneEngine):
    """Tells when some streams hang."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.expected = expected
        self.all_hang = threading.Event()

    def count_hanging(self, change: int) -> None:
        super().count_hanging(change)
        if self.hanging == self.expected:
            self.all_hang.set()


def test_a_batch_can_be_cancelled_while_it_hangs(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch of disconnects calls ``cancel``; the test client has no socket to watch."""
    ctx = context_of(app)
    engine = Hanging(3)
    monkeypatch.setattr(ctx.engine, "get", lambda: engine)
    made: list[speech_batch._Batch] = []
    original = speech_batch._Batch

    def keep(*args: Any) -> speech_batch._Batch:
        made.append(original(*args))
        return made[-1]

    monkeypatch.setattr(speech_batch, "_Batch", keep)
    with ThreadPoolExecutor(1) as pool:
        body = {"items": [{"input": "hang"}] * 3}
        waiting = pool.submit(app.test_client().post, BATCH, json=body)
        assert engine.all_hang.wait(20)
        made[0].cancel()
        assert waiting.result(20).status_code == 499
    assert (ctx.limits.running, engine.open) == (0, 0)


class Waiting(ToneEngine):
    """Starts the text "last" only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.released = threading.Event(), threading.Event()

    def synthesize(self, utterance):
        if "last" in utterance.segments[0].text:
            self.reached.set()
            assert self.released.wait(20)
        return super().synthesize(utterance)


def test_an_item_that_ends_makes_room_for_other_requests(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = context_of(app).limits
    engine = Waiting()
    monkeypatch.setattr(context_of(app).engine, "get", lambda: engine)
    left: list[int] = []
    all_left = threading.Event()
    leave = limits.leave

    def note(seconds: float, holder: Holder) -> None:
        leave(seconds, holder)
        left.append(limits.running)
        if limits.running == 1:
            all_left.set()

    monkeypatch.setattr(limits, "leave", note)
    with ThreadPoolExecutor(1) as pool:
        body = {"items": [{"input": "last"}, *[{"input": "One."}] * 4]}
        waiting = pool.submit(app.test_client().post, BATCH, json=body)
        assert engine.reached.wait(20)
        assert all_left.wait(20)  # only the last item still has its permit
        engine.released.set()
        assert waiting.result(20).get_json()["succeeded"] == 5
    assert left == [4, 3, 2, 1, 0]


def test_the_audio_of_a_batch_is_bounded(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_batch, "MAX_AUDIO", 100_000)
    found = batch(client, [{"input": "One."}] * 10)
    assert 0 < found["succeeded"] <= 4
    errors = [result["error"] for result in found["results"] if result["error"]]
    assert all("compressed" in error for error in errors)


def test_a_batch_may_be_32_times_as_long_as_a_request(client: FlaskClient) -> None:
    single = client.application.config["MAX_CONTENT_LENGTH"]
    padded = json.dumps({"items": [{"input": "One."}]}).encode() + b" " * single
    kind = "application/json"
    assert client.post(BATCH, data=padded, content_type=kind).status_code == 200
    assert client.post(SPEECH, data=padded, content_type=kind).status_code == 413
    beyond = b" " * (speech_batch.body_limit(single) + 1)
    assert client.post(BATCH, data=beyond, content_type=kind).status_code == 413


@pytest.mark.parametrize(
    ("single", "limit"), [(1000, 32_000), (2**24, 2**26), (2**26, 2**26), (2**30, 2**30)]
)
def test_the_limit_of_a_body(single: int, limit: int) -> None:
    assert speech_batch.body_limit(single) == limit


def test_the_server_hands_on_what_a_batch_may_send(tone_settings: Settings) -> None:
    app = started(replace(tone_settings, max_input_chars=100_000))
    limit = speech_batch.body_limit(app.config["MAX_CONTENT_LENGTH"])
    assert app.config[BODY_LIMIT] >= limit > app.config["MAX_CONTENT_LENGTH"]
