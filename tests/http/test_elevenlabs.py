"""ElevenLabs' API over HTTP: formats, timestamps, voices, models, keys and errors."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import started
from tests.support import ROOT
from tests.support.uploads import KEYS, RECORDING
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.errors import SynthesisFailed
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.intake.clip import clean
from voxcpm_openai.web.app_context import context_of
from voxcpm_openai.web.elevenlabs_shapes import OUTPUT_FORMATS

URL = "/v1/text-to-speech/alloy"
XI = {"xi-api-key": "anything"}
SECONDS = 3 * 3840 / 24_000
"""The tone engine's audio of a segment."""


def speak(client: FlaskClient, end: str = "", **fields: Any) -> TestResponse:
    query = {"output_format": fields.pop("output_format", "pcm_24000")}
    reply = client.post(URL + end, query_string=query, json={"text": "Hello there.", **fields})
    assert reply.status_code == 200, reply.text
    return reply


def lines(reply: TestResponse) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reply.data.splitlines()]


def last_utterance(app: Flask):
    return context_of(app).engine.get().utterances[-1]


@pytest.mark.parametrize("end", ["", "/stream"])
@pytest.mark.parametrize(
    ("name", "content_type", "rate", "start"),
    [
        ("mp3_44100_128", "audio/mpeg", 44_100, b"\xff\xfb\x90"),  # MPEG 1, 128 kbit/s
        ("mp3_44100_32", "audio/mpeg", 44_100, b"\xff\xfb\x10"),
        ("mp3_44100_192", "audio/mpeg", 44_100, b"\xff\xfb\xb0"),
        ("mp3_22050_32", "audio/mpeg", 22_050, b"\xff\xf3\x40"),  # MPEG 2, 32 kbit/s
        ("mp3_24000_48", "audio/mpeg", 24_000, b"\xff\xf3\x64"),
        ("pcm_16000", "audio/pcm", 16_000, b""),
        ("wav_44100", "audio/wav", 44_100, b"RIFF"),
        ("opus_48000_64", "audio/opus", 48_000, b"OggS"),
        ("ulaw_8000", "audio/basic", 8_000, b""),
        ("alaw_8000", "audio/x-alaw-basic", 8_000, b""),
    ],
)
def test_a_format_names_codec_rate_and_bit_rate(
    client: FlaskClient, end: str, name: str, content_type: str, rate: int, start: bytes
) -> None:
    reply = speak(client, end, output_format=name)
    assert reply.content_type == content_type
    assert reply.headers["x-audio-sample-rate"] == str(rate)
    assert reply.data.startswith(start)
    assert "x-voxcpm-ignored" not in reply.headers
    if name.startswith(("pcm", "ulaw", "alaw")):
        width = 2 if name.startswith("pcm") else 1
        assert len(reply.data) == pytest.approx(SECONDS * rate * width, abs=4)


def test_the_bit_rate_decides_the_size(client: FlaskClient) -> None:
    text = "One. Two. Three. Four. Five. Six."
    sizes = [
        len(speak(client, text=text, output_format=f"opus_48000_{kbits}").data)
        for kbits in (32, 64, 128)
    ]
    assert sizes[0] * 1.5 < sizes[1] < sizes[2] / 1.5


def test_the_default_is_mp3_at_44_khz(client: FlaskClient) -> None:
    reply = client.post(URL, json={"text": "Hello."})
    assert reply.headers["x-audio-sample-rate"] == "44100"


def test_fields_with_an_effect_reach_the_engine_and_the_others_are_named(app: Flask) -> None:
    reply = speak(
        app.test_client(),
        model_id="eleven_turbo_v2_5",
        seed=42,
        voice_settings={"stability": 0.5, "similarity_boost": 0.75, "speed": 2.0},
        previous_text="Before.",
        pronunciation_dictionary_locators=[],
        use_pvc_as_ivc=None,
    )
    assert last_utterance(app).seed == 42
    assert len(reply.data) / 48_000 == pytest.approx(SECONDS / 2, rel=0.15)
    assert reply.headers["x-voxcpm-ignored"] == "previous_text, pronunciation_dictionary_locators"


def test_instructions_reach_an_engine_that_follows_them(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = context_of(app).engine.get()
    can = replace(engine.capabilities, params={"instructions"})
    monkeypatch.setattr(engine, "capabilities", can)
    reply = speak(app.test_client(), instructions="Whisper.")
    assert last_utterance(app).instructions == "Whisper."
    assert "x-voxcpm-ignored" not in reply.headers


def test_the_page_names_all_formats() -> None:
    page = (ROOT / "docs" / "elevenlabs.md").read_text(encoding="utf-8")
    named: set[str] = set()
    for word in re.findall(r"`((?:mp3|opus|pcm|wav|ulaw|alaw)_[0-9_{},]+)`", page):
        start, _, choice = word.partition("{")
        named |= {start + end for end in choice.rstrip("}").split(",")}
    assert named == set(OUTPUT_FORMATS)


@pytest.mark.parametrize("model", ["eleven_v3", "", None, "tts-1", "x" * 5000])
def test_any_model_is_accepted(client: FlaskClient, model: str | None) -> None:
    assert speak(client, model_id=model).data


def test_queries_that_change_nothing_are_accepted(client: FlaskClient) -> None:
    query = "?enable_logging=false&optimize_streaming_latency=4&output_format="
    assert client.post(URL + query, json={"text": "Hello."}).status_code == 200


def test_strict_mode_leaves_this_api_alone(tone_settings: Settings) -> None:
    client = started(replace(tone_settings, strict=True)).test_client()
    assert speak(client, previous_text="x", unheard_of=1).data


def check_times(alignment: dict[str, Any]) -> None:
    starts, ends = (alignment[f"character_{at}_times_seconds"] for at in ("start", "end"))
    assert len(alignment["characters"]) == len(starts) == len(ends)
    assert starts[1:] == pytest.approx(ends[:-1], abs=0.002)
    assert sorted(starts) == starts


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_timestamps_spread_the_characters_over_their_segment(
    client: FlaskClient, speed: float
) -> None:
    reply = speak(client, "/with-timestamps", text="One. Two.", voice_settings={"speed": speed})
    assert reply.content_type == "application/json"
    body = reply.get_json()
    audio = base64.b64decode(body["audio_base64"])
    alignment = body["alignment"]
    assert "".join(alignment["characters"]) == "One. Two."
    check_times(alignment)
    assert alignment["character_start_times_seconds"][0] == 0
    seconds = SECONDS / speed
    assert alignment["character_start_times_seconds"][5] == pytest.approx(seconds, abs=0.002)
    assert alignment["character_end_times_seconds"][-1] == pytest.approx(2 * seconds, abs=0.002)
    assert len(audio) / 48_000 == pytest.approx(2 * seconds, rel=0.1)
    assert body["normalized_alignment"] == alignment  # the tone engine reads what is written


def test_silence_before_the_speech_delays_the_timestamps(tone_settings: Settings) -> None:
    client = started(replace(tone_settings, lead_ms=500)).test_client()
    body = speak(client, "/with-timestamps").get_json()
    assert body["alignment"]["character_start_times_seconds"][0] == 0.5


def test_a_stream_with_timestamps_is_a_line_a_chunk_and_an_alignment_a_segment(
    client: FlaskClient,
) -> None:
    text = "One. Two. Three."
    reply = speak(client, "/stream/with-timestamps", text=text)
    assert reply.content_type == "application/x-ndjson"
    found = lines(reply)
    audio = b"".join(base64.b64decode(line["audio_base64"]) for line in found)
    assert audio == speak(client, text=text).data
    alignments = [line["alignment"] for line in found if line["alignment"]]
    assert ["".join(one["characters"]) for one in alignments] == ["One. ", "Two. ", "Three."]
    assert found[0]["alignment"] is None  # the end of the first segment is not known yet
    starts = [one["character_start_times_seconds"][0] for one in alignments]
    assert starts == pytest.approx([0, SECONDS, 2 * SECONDS], abs=0.002)
    for one in alignments:
        check_times(one)


def test_what_is_written_and_what_is_said_are_aligned(tone_settings: Settings) -> None:
    client = started(replace(tone_settings, normalize=True)).test_client()
    body = speak(client, "/with-timestamps", text="It costs $5.").get_json()
    written, said = (
        "".join(body[name]["characters"]) for name in ("alignment", "normalized_alignment")
    )
    assert (written, said) == ("It costs $5.", "It costs five dollars.")


@pytest.mark.parametrize("end", ["", "/stream", "/with-timestamps", "/stream/with-timestamps"])
@pytest.mark.parametrize(
    ("path", "fields", "query", "status", "name", "says"),
    [
        ("nobody", {}, "", 404, "voice_not_found", "'nobody' does not exist"),
        ("mute", {}, "", 400, "cannot_clone", "mute"),
        ("alloy", {"text": ""}, "", 400, "invalid_request_error", "'text' must have"),
        ("alloy", {"text": None}, "", 400, "invalid_request_error", "'text' is required"),
        ("alloy", {"text": "Привет"}, "", 400, "invalid_request_error", "'text' has letters"),
        ("alloy", {"seed": "x"}, "", 400, "invalid_request_error", "'seed' must be"),
        ("alloy", {}, "?output_format=mp4", 400, "invalid_request_error", "mp3_44100_128"),
        ("alloy", {"voice_settings": 1}, "", 400, "invalid_request_error", "an object"),
        (
            *("alloy", {"voice_settings": {"speed": 9}}, "", 400, "invalid_request_error"),
            "'voice_settings' has a wrong speed, which must be a number from 0.25",
        ),
        ("alloy", {"text": "fail-early"}, "", 503, "server_error", "told to fail"),
        ("alloy", {"text": "silent"}, "", 400, "invalid_request_error", "no sound"),
    ],
)
def test_errors_have_elevenlabs_shape(
    client: FlaskClient,
    end: str,
    path: str,
    fields: dict[str, object],
    query: str,
    status: int,
    name: str,
    says: str,
) -> None:
    reply = client.post(f"/v1/text-to-speech/{path}{end}{query}", json={"text": "Hi.", **fields})
    assert reply.status_code == status
    body = reply.get_json()
    assert set(body) == {"detail"}
    assert set(body["detail"]) == {"status", "message"}
    assert body["detail"]["status"] == name
    assert says in body["detail"]["message"]
    ctx = context_of(client.application)
    assert (ctx.limits.running, ctx.engine.status().streams) == (0, 0)


def test_an_error_after_the_first_line_breaks_the_stream(client: FlaskClient) -> None:
    reply = client.post(f"{URL}/stream/with-timestamps", json={"text": "fail-late"})
    assert reply.status_code == 200
    with pytest.raises(SynthesisFailed):
        next(line for line in reply.iter_encoded() if b"nothing" in line)


def test_errors_of_the_server_itself_have_it_too(client: FlaskClient) -> None:
    found = [
        client.get(URL),
        client.get("/v1/user", headers=XI),
        client.post(URL, data=b"{"),
        client.post(URL, data=b"x", headers={"Content-Encoding": "gzip"}),
        client.get("/v1/voices/nobody", headers=XI),
        client.get("/v2/voices?page_size=0"),
    ]
    assert [reply.status_code for reply in found] == [405, 404, 400, 415, 404, 400]
    assert all(set(reply.get_json()) == {"detail"} for reply in found)


@pytest.mark.parametrize("path", ["/v1/voices/nobody", "/v1/user", "/v1/models/nothing"])
def test_without_its_header_errors_have_openais_shape(client: FlaskClient, path: str) -> None:
    assert set(client.get(path).get_json()) == {"error"}


def test_on_openais_own_routes_errors_have_openais_shape(client: FlaskClient) -> None:
    reply = client.post("/v1/audio/speech", json={"model": "tts-1"}, headers=XI)
    assert set(reply.get_json()) == {"error"}


def test_voices_are_listed_in_the_shape_that_the_header_asks_for(client: FlaskClient) -> None:
    voices = client.get("/v1/voices", headers=XI).get_json()["voices"]
    assert {"alloy", "sine"} <= {voice["voice_id"] for voice in voices}
    for voice in voices:
        one = client.get(f"/v1/voices/{voice['voice_id']}", headers=XI).get_json()
        assert one == voice
        assert all(isinstance(label, str) and label for label in voice["labels"].values())
        assert voice["preview_url"] == f"http://localhost/v1/voices/{voice['voice_id']}/sample"
    assert "voice_id" not in client.get("/v1/voices/alloy").get_json()


@pytest.mark.parametrize("path", ["/v1/audio/voices", "/v1/audio/models", "/v1/audio/nothing"])
def test_openais_own_paths_keep_their_shape(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers=XI).get_json() == client.get(path).get_json()


def test_models_are_a_bare_list(client: FlaskClient) -> None:
    models = client.get("/v1/models", headers=XI).get_json()
    assert {"tts-1", "tone"} <= {model["model_id"] for model in models}
    for model in models:
        assert model["can_do_text_to_speech"] is True
        assert model["languages"] == [{"language_id": "en", "name": "English"}]


def test_the_voice_search_has_pages_and_a_search(client: FlaskClient) -> None:
    every = [voice["voice_id"] for voice in client.get("/v1/voices", headers=XI).json["voices"]]
    found: list[str] = []
    token = ""
    while True:
        page = client.get(f"/v2/voices?page_size=4&next_page_token={token}").get_json()
        found += (voice["voice_id"] for voice in page["voices"])
        assert page["total_count"] == len(every)
        if not page["has_more"]:
            break
        token = page["next_page_token"]
    assert found == every
    hit = client.get("/v2/voices?search=SINE").get_json()
    assert [voice["voice_id"] for voice in hit["voices"]] == ["sine"]


def test_a_cloned_voice_is_the_keys_own(shared: FlaskClient) -> None:
    store = context_of(shared.application).store
    added = store.add("x", clean(RECORDING).flac(), principal=unnamed(KEYS[0]).principal)
    jane, john = (
        {voice["voice_id"]: voice for voice in reply.get_json()["voices"]}
        for reply in (
            shared.get("/v2/voices?page_size=100", headers={"xi-api-key": k}) for k in KEYS
        )
    )
    assert set(jane) - set(john) == {added.id}
    assert (jane[added.id]["category"], jane["alloy"]["category"]) == ("cloned", "premade")


def test_pcm_of_a_tone_is_the_tone(client: FlaskClient) -> None:
    samples = np.frombuffer(speak(client).data, "<i2")
    assert np.argmax(np.abs(np.fft.rfft(samples))) * 24_000 / len(samples) == pytest.approx(
        440, abs=3
    )
