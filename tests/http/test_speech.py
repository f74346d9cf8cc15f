"""``POST /v1/audio/speech``: fields, formats, headers, SSE and the access log."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import started
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
GOOD = {"model": "gpt-4o-mini-tts", "input": "Hello there."}
PCM = {**GOOD, "response_format": "pcm"}
SAMPLES = 3 * 3840


def speak(client: FlaskClient, **fields: object) -> TestResponse:
    reply = client.post(SPEECH, json={**GOOD, **fields})
    assert reply.status_code == 200, reply.get_json()
    return reply


@pytest.mark.parametrize(
    ("name", "content_type", "start"),
    [
        ("mp3", "audio/mpeg", b"\xff\xf3"),
        ("opus", "audio/opus", b"OggS"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("flac", "audio/flac", b"fLaC"),
        ("wav", "audio/wav", b"RIFF\xff\xff\xff\xff"),
        ("pcm", "audio/pcm", b""),
    ],
)
def test_each_format_has_its_content_type_and_its_first_bytes(
    client: FlaskClient, name: str, content_type: str, start: bytes
) -> None:
    reply = speak(client, response_format=name)
    assert reply.content_type == content_type
    assert reply.data.startswith(start)


def test_mp3_is_the_default(client: FlaskClient) -> None:
    assert speak(client).content_type == "audio/mpeg"
    assert speak(client, response_format=None).content_type == "audio/mpeg"


def test_raw_audio_is_streamed_without_a_length(client: FlaskClient) -> None:
    reply = speak(client)
    assert "Content-Length" not in reply.headers
    assert reply.headers["X-Accel-Buffering"] == "no"
    assert reply.headers["x-audio-sample-rate"] == "24000"


def test_every_response_has_openais_headers(client: FlaskClient) -> None:
    for reply in (speak(client), client.get("/v1/models"), client.get("/health")):
        assert reply.headers["x-request-id"].startswith("req_")
        assert int(reply.headers["openai-processing-ms"]) >= 0
        assert reply.headers["openai-version"] == "2020-10-01"
        assert "x-request-id" in reply.headers["Access-Control-Expose-Headers"]


def test_a_proxys_request_id_is_kept_unless_it_is_malformed(client: FlaskClient) -> None:
    kept = client.get("/health", headers={"X-Request-Id": "nginx-42"})
    assert kept.headers["x-request-id"] == "nginx-42"
    odd = client.get("/health", headers={"X-Request-Id": "a b\tc" + "x" * 200})
    assert odd.headers["x-request-id"].startswith("req_")


def test_pcm_is_24_khz_16_bit_mono(client: FlaskClient) -> None:
    samples = np.frombuffer(speak(client, response_format="pcm").data, "<i2")
    time = np.arange(SAMPLES) / 24_000
    wanted = 0.3 * np.sin(2 * np.pi * 440 * time) * 32767
    assert samples.shape == (SAMPLES,)
    assert np.abs(samples - wanted).max() <= 1


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_a_requested_sample_rate_is_sent(client: FlaskClient, rate: int) -> None:
    reply = speak(client, response_format="pcm", sample_rate=rate)
    assert reply.headers["x-audio-sample-rate"] == str(rate)
    assert len(reply.data) / 2 == pytest.approx(SAMPLES * rate / 24_000, abs=2)
    assert "x-voxcpm-ignored" not in reply.headers


def test_opus_is_48_khz_and_reports_another_rate_as_ignored(client: FlaskClient) -> None:
    reply = speak(client, response_format="opus", sample_rate=16000)
    assert reply.headers["x-audio-sample-rate"] == "48000"
    assert reply.headers["x-voxcpm-ignored"] == "sample_rate"


@pytest.mark.parametrize("speed", [0.25, 0.5, 1, 1.5, 4.0])
def test_speed_changes_the_duration_and_keeps_the_pitch(client: FlaskClient, speed: float) -> None:
    reply = speak(client, response_format="pcm", speed=speed, input="One. Two. Three. Four.")
    samples = np.frombuffer(reply.data, "<i2").astype(float)
    assert len(samples) == pytest.approx(4 * SAMPLES / speed, rel=0.05)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    peak = spectrum.argmax() * 24_000 / len(samples)
    assert peak == pytest.approx(440, rel=0.02)


@pytest.mark.parametrize("voice", [None, "", "  ", "missing"])
def test_without_a_voice_the_default_voice_speaks(app: Flask, voice: str | None) -> None:
    body = PCM if voice == "missing" else {**PCM, "voice": voice}
    assert app.test_client().post(SPEECH, json=body).status_code == 200
    assert _last_utterance(app).voice.id == "alloy"


@pytest.mark.parametrize("voice", ["sine", {"id": "sine"}])
def test_a_voice_is_a_string_or_an_object(app: Flask, voice: object) -> None:
    speak(app.test_client(), voice=voice)
    assert _last_utterance(app).voice.id == "sine"


@pytest.mark.parametrize("instructions", ["", "None", None, " "])
def test_empty_instructions_are_unset(client: FlaskClient, instructions: str) -> None:
    assert "x-voxcpm-ignored" not in speak(client, instructions=instructions).headers


def test_ignored_fields_are_named_in_a_header(app: Flask) -> None:
    reply = speak(
        app.test_client(),
        instructions="Whisper.",
        cfg_value=2.0,
        inference_steps=5,
        language="en",
        seed=1,
        backend="x",
        lang_code="a",
        stream=True,
    )
    assert reply.headers["x-voxcpm-ignored"] == (
        "instructions, language, cfg_value, inference_steps, backend, lang_code, stream"
    )
    assert _last_utterance(app).seed == 1  # the tone engine's own
    assert _last_utterance(app).instructions is None
    assert _last_utterance(app).options == {}


def test_a_strange_field_name_cannot_split_the_header(client: FlaskClient) -> None:
    reply = speak(client, **{"a\r\nSet-Cookie: x": 1, "ü" * 100: 2})
    assert reply.headers["x-voxcpm-ignored"] == f"a??Set-Cookie??x, {'?' * 64}"


def test_strict_mode_refuses_unknown_fields_by_name(tone_settings: Settings) -> None:
    client = started(replace(tone_settings, strict=True)).test_client()
    reply = client.post(SPEECH, json={**GOOD, "backend": "x"})
    assert (reply.status_code, reply.get_json()["error"]["param"]) == (400, "backend")
    assert client.post(SPEECH, json={**GOOD, "seed": 1}).status_code == 200


def test_a_lone_full_stop_is_spoken(client: FlaskClient) -> None:
    assert len(speak(client, input=".").data) > 0


def test_the_limit_on_input_is_a_setting(tone_settings: Settings) -> None:
    client = started(replace(tone_settings, max_input_chars=10_000)).test_client()
    assert client.post(SPEECH, json={**GOOD, "input": "word " * 1900}).status_code == 200


def test_markdown_and_emoji_do_not_reach_the_engine(app: Flask) -> None:
    speak(
        app.test_client(), input="# Hello 😀\n\nThis is **bold** and a [link](https://x.example)."
    )
    spoken = " ".join(segment.text for segment in _last_utterance(app).segments)
    assert spoken == "Hello This is bold and a link."


def test_sse_events_contain_the_audio_the_usage_and_the_end(client: FlaskClient) -> None:
    raw = speak(client, response_format="pcm").data
    reply = speak(client, response_format="pcm", stream_format="sse")
    assert reply.content_type == "text/event-stream; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"
    blocks = reply.data.split(b"\n\n")
    assert blocks[-2:] == [b"data: [DONE]", b""]
    assert all(block.startswith(b"data: ") and b"\n" not in block for block in blocks[:-1])
    events = [json.loads(block.removeprefix(b"data: ")) for block in blocks[:-2]]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == raw
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd"])
def test_sse_is_reported_as_ignored_for_the_old_models(client: FlaskClient, model: str) -> None:
    reply = speak(client, model=model, stream_format="sse")
    assert reply.content_type == "audio/mpeg"
    assert reply.headers["x-voxcpm-ignored"] == "stream_format"


def test_accept_does_not_select_sse(client: FlaskClient) -> None:
    headers = {"Accept": "application/octet-stream, text/event-stream"}
    assert client.post(SPEECH, json=GOOD, headers=headers).content_type == "audio/mpeg"


def test_a_late_failure_is_an_sse_error_event_and_no_done(client: FlaskClient) -> None:
    reply = speak(client, response_format="pcm", stream_format="sse", input="fail-late")
    blocks = reply.data.split(b"\n\n")
    assert b"[DONE]" not in reply.data
    last = json.loads(blocks[-2].removeprefix(b"data: "))
    assert set(last["error"]) == {"message", "type", "param", "code"}


def test_an_early_failure_keeps_its_status_in_sse_too(client: FlaskClient) -> None:
    reply = client.post(SPEECH, json={**GOOD, "stream_format": "sse", "input": "fail-early"})
    assert reply.status_code == 503


def test_one_log_line_has_everything_but_the_text(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "voxcpm_openai.requests"):
        reply = speak(client, input="Quite private words.", voice="sine")
        assert reply.data
        reply.close()
    lines = [r.message for r in caplog.records if r.name == "voxcpm_openai.requests"]
    assert len(lines) == 1
    for fact in ("id=req_", "status=200", "model=gpt-4o-mini-tts", "voice=sine", "format=mp3"):
        assert fact in lines[0]
    for fact in ("characters=20", "first_byte_ms=", "audio_s=0.48"):
        assert fact in lines[0]
    assert "private" not in lines[0]


@pytest.mark.parametrize("text", ["Hello.", "hang-late"])
def test_the_log_line_says_whether_the_client_disconnected(
    app: Flask, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    with caplog.at_level("INFO", "voxcpm_openai.requests"):
        reply = app.test_client().post(SPEECH, json={**PCM, "input": text}, buffered=False)
        if text == "Hello.":
            assert reply.data
        reply.close()
    (line,) = [r.message for r in caplog.records if r.name == "voxcpm_openai.requests"]
    assert f"outcome={'cancelled' if text == 'hang-late' else 'done'}" in line


def test_no_client_can_forge_a_log_line(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "voxcpm_openai.requests"):
        client.post(SPEECH, json={**GOOD, "model": "x\nid=forged status=200"}).close()
        client.get("/v1/%0Aid=forged").close()
    for record in caplog.records:
        assert "\n" not in record.message
        assert '"' in record.message


def test_a_client_that_disconnects_frees_the_engine_and_the_permit(app: Flask) -> None:
    reply = app.test_client().post(SPEECH, json=PCM, buffered=False)
    ctx = context_of(app)
    assert (ctx.limits.running, ctx.engine.status().streams) == (1, 1)
    next(reply.response)
    reply.close()
    assert (ctx.limits.running, ctx.engine.status().streams) == (0, 0)


def test_refused_requests_hold_no_permit(app: Flask) -> None:
    for text in ("fail-early", "silent", "Привет"):
        app.test_client().post(SPEECH, json={**GOOD, "input": text})
    ctx = context_of(app)
    assert (ctx.limits.running, ctx.engine.status().streams) == (0, 0)


def _last_utterance(app: Flask):
    return context_of(app).engine.get().utterances[-1]
