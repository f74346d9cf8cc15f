"""Messages of WebSockets: each field is checked by itself, as in the bodies of requests."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from voxcpm_openai.web.fields import (
    MAX_NAME,
    Language,
    Seed,
    TrueOrFalse,
    VoiceName,
    VoiceSettings,
    number,
    string,
)
from voxcpm_openai.web.schemas import RequestSchema

REALTIME_FORMATS = {"audio/pcm": ("pcm", 24_000), "audio/pcmu": ("ulaw", 8_000)}
REALTIME_FORMATS["audio/pcma"] = ("alaw", 8_000)
"""Realtime's names: the format, and its sample rate in Hz."""
MAX_METADATA = 16
"""Pairs that a response keeps."""


def object_of(schema: type[RequestSchema]) -> fields.Nested:
    """Return a field for an object with these fields."""
    message: dict[str, Any] = dict.fromkeys(("type", "invalid"), "must be an object.")
    return fields.Nested(schema, allow_none=True, error_messages=message)


class RealtimeFormat(RequestSchema):
    """An audio format of the Realtime API."""

    type = string(
        required=True,
        validate=validate.OneOf(
            REALTIME_FORMATS, error=f"must be one of {', '.join(REALTIME_FORMATS)}."
        ),
    )
    rate = fields.Integer(
        allow_none=True, validate=validate.OneOf([24_000, 8_000], error="must be 24000.")
    )


class RealtimeOutput(RequestSchema):
    """How the audio of a response sounds."""

    format = object_of(RealtimeFormat)
    voice = VoiceName(allow_none=True)
    speed = number(0.25, 1.5)


class RealtimeAudio(RequestSchema):
    """The audio of a session or a response; its input has no effect."""

    output = object_of(RealtimeOutput)


class RealtimeOptions(RequestSchema):
    """What sessions and responses have in common."""

    audio = object_of(RealtimeAudio)
    instructions = string(allow_none=True)
    output_modalities = fields.List(
        fields.String(),
        allow_none=True,
        validate=validate.ContainsOnly(["audio"], error="must be ['audio']."),
        error_messages={"invalid": "must be ['audio']."},
    )


class RealtimeSession(RealtimeOptions):
    """The session of ``session.update``."""

    type = string(
        allow_none=True,
        validate=validate.OneOf(["realtime"], error="must be 'realtime'."),
    )
    model = string(allow_none=True)


class RealtimeResponse(RealtimeOptions):
    """The response of ``response.create``."""

    conversation = string(
        allow_none=True,
        validate=validate.OneOf(["auto", "none"], error="must be 'auto' or 'none'."),
    )
    input = fields.List(
        fields.Dict(error_messages={"invalid": "must be an object."}),
        allow_none=True,
        error_messages={"invalid": "must be a list of items."},
    )
    metadata = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        allow_none=True,
        validate=validate.Length(max=MAX_METADATA, error=f"must have at most {MAX_METADATA} keys."),
        error_messages={"invalid": "must be an object of strings."},
    )


class ElevenLabsQuery(RequestSchema):
    """The query of ElevenLabs' WebSockets; its other fields have no effect."""

    model_id = string()
    output_format = string()
    language_code = Language()
    seed = Seed()
    apply_text_normalization = string(
        validate=validate.OneOf(["auto", "on", "off"], error="must be 'auto', 'on' or 'off'.")
    )
    inactivity_timeout = fields.Integer(
        load_default=20,
        validate=validate.Range(1, 180, error="must be a whole number from 1 to 180."),
        error_messages={"invalid": "must be a whole number from 1 to 180."},
    )
    auto_mode = fields.Boolean(error_messages={"invalid": "must be true or false."})
    sync_alignment = fields.Boolean(error_messages={"invalid": "must be true or false."})


class ElevenLabsMessage(RequestSchema):
    """A message of ElevenLabs' WebSockets; its other fields have no effect."""

    text = string(allow_none=True)
    context_id = string(MAX_NAME, allow_none=True)
    voice_settings = VoiceSettings(allow_none=True)
    flush = TrueOrFalse(allow_none=True)
    close_context = TrueOrFalse(allow_none=True)
    close_socket = TrueOrFalse(allow_none=True)


class SpeechStreamOptions(RequestSchema):
    """What ``session.config`` of ``/v1/audio/speech/stream`` has beside a request's fields."""

    stream_audio = TrueOrFalse(allow_none=True)
    word_timestamps = TrueOrFalse(allow_none=True)
    split_granularity = string(
        allow_none=True,
        validate=validate.OneOf(
            ["none", "sentence", "clause"], error="must be 'none', 'sentence' or 'clause'."
        ),
    )
