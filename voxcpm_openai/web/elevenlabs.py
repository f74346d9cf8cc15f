"""ElevenLabs' API over HTTP: text to speech, with and without timestamps, and the voice search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from flask import Blueprint, Response, request

from voxcpm_openai.contracts import Voice
from voxcpm_openai.errors import InvalidRequest, UnknownModel
from voxcpm_openai.resolve import Resolver
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.web import alignment, elevenlabs_shapes
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_principal
from voxcpm_openai.web.body import json_object
from voxcpm_openai.web.elevenlabs_shapes import DEFAULT_FORMAT, OUTPUT_FORMATS
from voxcpm_openai.web.openapi.operation import SPEECH, json_body, operation
from voxcpm_openai.web.pages import page_of
from voxcpm_openai.web.queries import OutputFormatSchema, VoiceSearchSchema
from voxcpm_openai.web.schemas import ElevenLabsSchema, load
from voxcpm_openai.web.speech import SPEECH_HEADERS, respond
from voxcpm_openai.web.synthesis import Frames

blueprint = Blueprint("elevenlabs", __name__)

URL = "/v1/text-to-speech/<voice_id>"
NORMALIZE = {"on": True, "off": False}
"""What ``apply_text_normalization`` means; "auto" leaves it to the server."""
HONOURED = frozenset(
    "text model_id language_code seed voice_settings apply_text_normalization instructions".split()
)
"""The fields with an effect; the others are named in the response header."""


class VoicePage(TypedDict):
    """A page of the voices, in ElevenLabs' shape."""

    voices: list[elevenlabs_shapes.ElevenLabsVoice]
    has_more: bool
    total_count: int
    next_page_token: str | None


@blueprint.post(URL)
@blueprint.post(f"{URL}/stream")
@operation(
    json_body(ElevenLabsSchema),
    query=OutputFormatSchema,
    sends={"audio/*": bytes},
    headers=SPEECH_HEADERS,
    raises=SPEECH,
)
def speak(voice_id: str) -> Response:
    """Synthesize a text, in ElevenLabs' API: raw audio, streamed as it is made.

    Raises UnknownVoice.
    """
    return _speak(voice_id, iter)


@blueprint.post(f"{URL}/with-timestamps")
@operation(
    json_body(ElevenLabsSchema),
    query=OutputFormatSchema,
    sends={"application/json": alignment.TimedAudio},
    headers=SPEECH_HEADERS,
    raises=SPEECH,
)
def speak_with_timestamps(voice_id: str) -> Response:
    """Synthesize a text, in ElevenLabs' API: a JSON object with audio and alignment.

    Raises UnknownVoice.
    """
    return _speak(voice_id, alignment.whole, "application/json")


@blueprint.post(f"{URL}/stream/with-timestamps")
@operation(
    json_body(ElevenLabsSchema),
    query=OutputFormatSchema,
    sends={"application/x-ndjson": str},
    headers=SPEECH_HEADERS,
    raises=SPEECH,
)
def stream_with_timestamps(voice_id: str) -> Response:
    """Synthesize a text, in ElevenLabs' API: JSON objects with audio and alignment, one a line.

    Raises UnknownVoice.
    """
    return _speak(voice_id, alignment.lines, "application/x-ndjson")


@blueprint.get("/v2/voices")
@operation(query=VoiceSearchSchema)
def search_voices() -> VoicePage:
    """List the voices in ElevenLabs' shape: ``page_size`` (10) after ``next_page_token``."""
    given = {name: value for name, value in request.args.items() if value}
    query = load(VoiceSearchSchema(), given, strict=False)
    wanted = query.get("search", "").casefold()
    voices = current_context().voices.all(current_principal())
    found = [voice for voice in voices if wanted in _searched(voice)]
    shown, has_more = page_of(
        found,
        query["page_size"],
        query.get("next_page_token"),
        param="next_page_token",
        kind="voice",
    )
    return {
        "voices": [elevenlabs_shapes.voice_json(voice) for voice in shown],
        "has_more": has_more,
        "total_count": len(found),
        "next_page_token": shown[-1].id if has_more else None,
    }


def _searched(voice: Voice) -> str:
    return f"{voice.id} {voice.name} {voice.description} {voice.language}".casefold()


def _speak(voice_id: str, frames: Frames, content_type: str | None = None) -> Response:
    ctx = current_context()
    voice = ctx.voices.find(voice_id, current_principal())
    body = json_object(request)
    fields = load(ElevenLabsSchema(), body, strict=False)
    asked = speech_request(voice.id, fields, request.args.get("output_format"), ctx.resolver)
    ignored = tuple(n for n, value in body.items() if n not in HONOURED and value is not None)
    return respond(asked, frames, content_type, ignored)


def speech_request(
    voice: str, body: Mapping[str, Any], output_format: str | None, resolver: Resolver
) -> SpeechRequest:
    """Return the request that valid fields of ElevenLabs' API mean.

    Raises InvalidRequest if there is no such output format.
    """
    name = output_format or DEFAULT_FORMAT
    if name not in OUTPUT_FORMATS:
        raise InvalidRequest(
            f"'{name[:64]}' is not an output_format. There are: {', '.join(OUTPUT_FORMATS)}.",
            param="output_format",
        )
    format_, rate, bit_rate = OUTPUT_FORMATS[name]
    return SpeechRequest(
        model=_model(body.get("model_id", ""), resolver),
        input=body.get("text", ""),
        voice=voice,
        response_format=format_,
        sample_rate=rate,
        bit_rate=bit_rate,
        speed=body.get("voice_settings", 1.0),
        seed=body.get("seed"),
        instructions=body.get("instructions") or None,
        language=body.get("language_code"),
        normalize=NORMALIZE.get(body.get("apply_text_normalization", "auto")),
    )


def _model(model_id: str, resolver: Resolver) -> str:
    """Return a model of this server, whatever a client of ElevenLabs calls its own."""
    try:
        return resolver.preset(model_id).id
    except UnknownModel:
        return resolver.default_model
