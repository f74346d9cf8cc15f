"""Request schemas: each field is checked by itself.  Error messages are for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from flask import Request
from marshmallow import INCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.voices import validation
from voxcpm_openai.web.body import check_values, json_object
from voxcpm_openai.web.fields import (
    LANGUAGE,
    MAX_INSTRUCTIONS,
    MAX_NAME,
    MAX_SILENCE_MS,
    MAX_SPEED,
    MIN_SPEED,
    SAMPLE_RATES,
    UNSET_INSTRUCTIONS,
    BatchItems,
    DictionaryRules,
    Language,
    LexiconTable,
    Seed,
    TrueOrFalse,
    VoiceName,
    VoiceSettings,
    described,
    number,
    string,
    whole,
)


class RequestSchema(Schema):
    """The fields of a request's body.  Null means unset, except for required fields."""

    class Meta:
        """Keep unknown fields: a header reports them, or strict mode refuses them."""

        unknown = INCLUDE


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(SpeechRequest)}


def with_default(name: str, text: str) -> dict[str, Any]:
    """Describe a field of a speech request that has a default."""
    return described(text, default=_DEFAULTS[name])


class SpeechSchema(RequestSchema):
    """The body of ``POST /v1/audio/speech``."""

    model = string(
        MAX_NAME,
        required=True,
        **described("An id of `/v1/models`, also with a provider's prefix: `openai/tts-1`."),
    )
    input = string(required=True, **described("The text: plain, Markdown, or some SSML."))
    voice = VoiceName(
        allow_none=True,
        **described('An id of `/v1/voices`, or `{"id": ...}`. Default: the server\'s own choice.'),
    )
    response_format = string(
        MAX_NAME,
        allow_none=True,
        **with_default(
            "response_format",
            "`mp3`, `opus`, `aac`, `flac`, `wav`, `pcm`, `webm`, `ulaw`, `alaw`, or a plugin's.",
        ),
    )
    speed = number(MIN_SPEED, MAX_SPEED, **with_default("speed", "The tempo; the pitch is kept."))
    instructions = string(
        MAX_INSTRUCTIONS,
        allow_none=True,
        **described("How to speak, for engines that follow it; others ignore it."),
    )
    stream_format = string(
        allow_none=True,
        validate=validate.OneOf(["audio", "sse"], error="must be 'audio' or 'sse'."),
        **with_default("stream_format", "Raw audio, or server-sent events; `tts-1` sends audio."),
    )
    seed = Seed(
        allow_none=True,
        **described("The same seed gives the same sound; -1 is a random one. An extension."),
    )
    sample_rate = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.OneOf(
            SAMPLE_RATES, error=f"must be one of {', '.join(map(str, SAMPLE_RATES))}."
        ),
        error_messages={"invalid": "must be a whole number."},
        **described("In Hz, if the format has a choice. An extension."),
    )
    cfg_value = number(0.1, 10.0, **described("VoxCPM's guidance. An extension."))
    inference_steps = whole(2, 100, **described("VoxCPM's steps of the solver. An extension."))
    language = Language(
        allow_none=True,
        **described("A code, the English name of a language, or `auto`. An extension."),
    )
    lexicon = LexiconTable(
        allow_none=True,
        **described('Rules such as `{"Nguyen": "win"}`. An extension.'),
    )
    normalize = TrueOrFalse(
        allow_none=True,
        **described("Words instead of digits and signs. An extension."),
    )
    lead_ms = whole(0, MAX_SILENCE_MS, **described("Silence before the speech. An extension."))
    tail_ms = whole(0, MAX_SILENCE_MS, **described("Silence after the speech. An extension."))

    @pre_load
    def empty_is_unset(self, data: Mapping[str, object], **_: object) -> dict[str, object]:
        """Take an empty string for null: clients send all fields of a form."""
        optional = {name for name, field in self.fields.items() if field.allow_none}
        return {
            name: None
            if name in optional and isinstance(value, str) and not value.strip()
            else value
            for name, value in data.items()
        }

    @post_load(pass_original=True)
    def make(
        self, data: dict[str, Any], original: Mapping[str, object], **_: object
    ) -> SpeechRequest:
        """Drop unset fields, and keep unknown ones apart, in the order of the body."""
        extra = {n: value for n, value in original.items() if n not in self.fields}
        given = {n: v for n, v in data.items() if n in self.fields and v is not None}
        if given.get("instructions", "").strip() in UNSET_INSTRUCTIONS:
            given.pop("instructions", None)
        return SpeechRequest(**given, extra=extra)


class TextSchema(SpeechSchema):
    """The body of ``POST /v1/audio/speech/text``: that of a speech request, without its model."""

    model = string(MAX_NAME, allow_none=True)

    @post_load(pass_original=True)
    def make(
        self, data: dict[str, Any], original: Mapping[str, object], **_: object
    ) -> SpeechRequest:
        """Make a request of the fields that are set."""
        request: SpeechRequest = super().make({**data, "model": data.get("model") or ""}, original)
        return request


class BatchItemSchema(SpeechSchema):
    """An item of a batch: the fields of a speech request, of which the batch may have some."""

    model = string(MAX_NAME, allow_none=True)
    input = string(allow_none=True)


class BatchSchema(RequestSchema):
    """The body of ``POST /v1/audio/speech/batch``, beside the fields of all items."""

    items = BatchItems(required=True)


class NameSchema(RequestSchema):
    """The body of ``POST /v1/audio/voice_consents/{id}``."""

    name = string(
        required=True,
        **described("For people, in one line.", minLength=1, maxLength=validation.MAX_NAME),
    )


class ConsentSchema(NameSchema):
    """The text fields of ``POST /v1/audio/voice_consents``."""

    language = string(required=True, validate=LANGUAGE)


class VoiceSchema(NameSchema):
    """The text fields of ``POST /v1/audio/voices``."""

    type = string(
        validate=validate.OneOf(
            ["audio_sample"],
            error="must be 'audio_sample', or 'prompt' for a voice that is designed.",
        )
    )
    consent = string(**described("The id of a consent; the operator decides if it is required."))
    transcript = string(**described("What is said in the recording. An extension."))
    description = string()
    language = string(validate=LANGUAGE)


class PromptSchema(NameSchema):
    """The body of ``POST /v1/audio/voices`` for a designed voice."""

    type = string(required=True)
    prompt = string(
        required=True,
        **described("How the voice sounds.", minLength=1, maxLength=validation.MAX_PROMPT),
    )
    language = string(allow_none=True, validate=LANGUAGE)
    model = string(allow_none=True)  # there is one at most
    script_hint = string(allow_none=True)  # the sentence of a preview is the server's


class DesignSchema(NameSchema):
    """The body of ``POST /v1/voices`` without a clip."""

    description = string(required=True)
    language = string(allow_none=True, validate=LANGUAGE)


class ChangeSchema(RequestSchema):
    """The body of ``PATCH /v1/voices/{id}``."""

    name = string(allow_none=True)
    description = string(allow_none=True)


class DictionarySchema(NameSchema):
    """The body of ``POST /v1/pronunciation-dictionaries/add-from-rules``."""

    rules = DictionaryRules(required=True)
    description = string(allow_none=True)
    workspace_access = fields.Raw(allow_none=True)  # there are no workspaces


class ElevenLabsSchema(RequestSchema):
    """The body of ElevenLabs' text to speech; its other fields have no effect."""

    text = string(required=True)
    model_id = string(allow_none=True)
    voice_settings = VoiceSettings(allow_none=True)
    language_code = Language(allow_none=True)
    seed = Seed(allow_none=True)
    instructions = string(MAX_INSTRUCTIONS, allow_none=True)  # an extension: OpenAI's
    apply_text_normalization = string(
        allow_none=True,
        validate=validate.OneOf(["auto", "on", "off"], error="must be 'auto', 'on' or 'off'."),
    )


def load_speech(request: Request) -> SpeechRequest:
    """Return a speech request.  Raises InvalidRequest for the first wrong field."""
    return speech_request(json_object(request))


def speech_request(values: Mapping[str, object]) -> SpeechRequest:
    """Return a speech request of these fields.  Raises InvalidRequest for the first wrong one."""
    loaded: SpeechRequest = _load(SpeechSchema(), values)
    return loaded


def load_text(request: Request) -> SpeechRequest:
    """Return a request to show a text.  Raises InvalidRequest for the first wrong field."""
    loaded: SpeechRequest = _load(TextSchema(), json_object(request))
    return loaded


def batch_items(value: object) -> list[dict[str, object]]:
    """Return the items of a batch, whose fields are not checked.  Raises InvalidRequest."""
    items: list[dict[str, object]] = _validated(BatchSchema(), {"items": value})["items"]
    return items


def load(schema: RequestSchema, values: Mapping[str, object], *, strict: bool) -> dict[str, Any]:
    """Return the fields that are set and known.

    Raises InvalidRequest for the first field that is wrong, or unknown in strict mode.
    """
    loaded: dict[str, Any] = _load(schema, values)
    if strict and (unknown := [name for name in values if name not in schema.fields]):
        raise InvalidRequest(f"'{unknown[0]}' is not a field of this request.", param=unknown[0])
    return {n: v for n, v in loaded.items() if n in schema.fields and v is not None}


def load_json(schema: RequestSchema, request: Request, *, strict: bool) -> dict[str, Any]:
    """Return the fields of a JSON body, as ``load`` does."""
    return load(schema, json_object(request), strict=strict)


def _load(schema: RequestSchema, values: Mapping[str, object]) -> Any:
    check_values(values)
    return _validated(schema, values)


def _validated(schema: RequestSchema, values: Mapping[str, object]) -> Any:
    try:
        return schema.load(values)
    except ValidationError as error:
        field, message = _first("", error.normalized_messages())
        raise InvalidRequest(_sentence(field, message), param=field) from error


def _first(field: str, messages: Any) -> tuple[str, str]:
    """Return the first wrong field, with the fields that contain it, and what is wrong."""
    if isinstance(messages, dict):
        name, inner = next(iter(messages.items()))
        path = f"{field}.{name}" if field else str(name)
        return _first(field if name == "_schema" else path, inner)
    return field, str(messages[0] if isinstance(messages, list) else messages)


def _sentence(field: str, message: str) -> str:
    if message in ("Missing data for required field.", "Field may not be null."):
        return f"'{field}' is required."
    return f"'{field}' {message}"
