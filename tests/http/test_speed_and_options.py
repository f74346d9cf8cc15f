"""What of a request the engine makes, what is made of its sound, and what changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from voxcpm_openai.contracts import Capabilities, Utterance
from voxcpm_openai.speech_request import OutputSpec, SpeechRequest
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine
from voxcpm_openai.web.app_context import context_of

IGNORED = "x-voxcpm-ignored"


class Hurrying(ToneEngine):
    """An engine that speaks at 0.8 to 1.25 times its speed by itself."""

    capabilities = Capabilities(
        sample_rate=24_000,
        languages=("en",),
        params=frozenset({"instructions", "cfg_value", "language"}),
        native_speed=(0.8, 1.25),
    )


def resolved(app: Flask, **fields: Any) -> tuple[Utterance, OutputSpec]:
    """Return what becomes of a request with these fields."""
    request = SpeechRequest(model="tone", input="Hello.", **fields)
    return context_of(app).resolver.resolve(request, Hurrying())


@pytest.mark.parametrize(
    ("asked", "spoken", "tempo"),
    [(1.0, 1.0, 1.0), (1.2, 1.2, 1.0), (2.0, 1.25, 1.6), (4.0, 1.25, 3.2), (0.4, 0.8, 0.5)],
)
def test_the_engine_speaks_as_fast_as_it_can_and_the_rest_is_stretched(
    app: Flask, asked: float, spoken: float, tempo: float
) -> None:
    utterance, output = resolved(app, speed=asked)
    assert (utterance.speed, output.tempo) == pytest.approx((spoken, tempo))
    assert utterance.tempo == output.tempo


def test_the_engine_gets_the_fields_that_it_honours_and_no_other(app: Flask) -> None:
    utterance, output = resolved(
        app,
        seed=7,
        instructions="Softly.",
        cfg_value=3.0,
        inference_steps=20,
        language="en",
    )
    assert utterance.seed is None
    assert utterance.instructions == "Softly."
    assert dict(utterance.options) == {"cfg_value": 3.0, "language": "en"}
    assert output.ignored == ("seed", "inference_steps")


def test_a_field_that_was_not_sent_is_no_option_and_is_not_ignored(app: Flask) -> None:
    utterance, output = resolved(app)
    assert utterance.instructions is None
    assert dict(utterance.options) == {}
    assert output.ignored == ()


@pytest.mark.parametrize(
    ("model", "stream_format", "sse", "ignored"),
    [
        ("gpt-4o-mini-tts", "sse", True, None),
        ("gpt-4o-mini-tts", "audio", False, None),
        ("tts-1", "sse", False, "stream_format"),
        ("tts-1", "audio", False, None),
    ],
)
def test_events_are_sent_where_they_were_asked_for_and_the_model_has_them(
    app: Flask, model: str, stream_format: str, sse: bool, ignored: str | None
) -> None:
    body = {"model": model, "input": "Hello.", "voice": "alloy", "stream_format": stream_format}
    reply = app.test_client().post("/v1/audio/speech", json=body)
    assert reply.status_code == 200
    assert (reply.mimetype == "text/event-stream") == sse
    assert reply.headers.get(IGNORED) == ignored


@pytest.mark.parametrize(("text", "status"), [("a", 200), ("a" * 4096, 200), ("a" * 4097, 400)])
def test_a_text_has_1_to_4096_characters(app: Flask, text: str, status: int) -> None:
    body = {"model": "tone", "input": text, "voice": "alloy"}
    assert app.test_client().post("/v1/audio/speech", json=body).status_code == status


@pytest.mark.parametrize(("rate", "ignored"), [(24_000, None), (8_000, None), (None, None)])
def test_a_sample_rate_that_goes_out_is_not_named_as_ignored(
    app: Flask, rate: int | None, ignored: str | None
) -> None:
    body = {"model": "tone", "input": "Hello.", "response_format": "pcm", "sample_rate": rate}
    reply = app.test_client().post("/v1/audio/speech", json=body)
    assert reply.headers.get(IGNORED) == ignored


def test_at_most_32_fields_are_named_as_ignored(app: Flask) -> None:
    body = {"model": "tone", "input": "Hello.", **{f"field{n}": n for n in range(40)}}
    reply = app.test_client().post("/v1/audio/speech", json=body)
    assert reply.headers[IGNORED].split(", ") == [f"field{n}" for n in range(32)]
