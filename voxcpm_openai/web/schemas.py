"""Request schemas: each field is checked by itself.  Error messages are for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Request
from marshmallow import INCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.web.body import check_values, json_object
from voxcpm_openai.web.fields import (
    LANGUAGE,
    LATEST,
    MAX_INSTRUCTIONS,
    MAX_NAME,
    MAX_SILENCE_MS,
    SAMPLE_RATES,
    UNSET_INSTRUCTIONS,
    DictionaryRules,
    Language,
    LexiconTable,
    Seed,
    TrueOrFalse,
    VoiceName,
    VoiceSettings,
    number,
    string,
    whole,
    whole_text,
)


class RequestSchema(Schema):
    """The fields of a request's body.  Null means unset, except for required fields."""

    class Meta:
        """Keep unknown fields: a header reports them, or strict mode refuses them."""

        unknown = INCLUDE


class SpeechSchema(RequestSchema):
    """The body of ``POST /v1/audio/speech``."""

    model = string(MAX_NAME, required=True)
    input = string(required=True)
    voice = VoiceName(allow_none=True)
    response_format = string(MAX_NAME, allow_none=True)
    speed = number(0.25, 4.0)
    instructions = string(MAX_INSTRUCTIONS, allow_none=True)
    stream_format = string(
        allow_none=True,
        validate=validate.OneOf(["audio", "sse"], error="must be 'audio' or 'sse'."),
    )
    seed = Seed(allow_none=True)
    sample_rate = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.OneOf(
            SAMPLE_RATES, error=f"must be one of {', '.join(map(str, SAMPLE_RATES))}."
        ),
        error_messages={"invalid": "must be a whole number."},
    )
    cfg_value = number(0.1, 10.0)
    inference_steps = whole(2, 100)  # the solver skips its first step
    language = Language(allow_none=True)
    lexicon = LexiconTable(allow_none=True)
    normalize = TrueOrFalse(allow_none=True)
    lead_ms = whole(0, MAX_SILENCE_MS)
    tail_ms = whole(0, MAX_SILENCE_MS)

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


class NameSchema(RequestSchema):
    """The body of ``POST /v1/audio/voice_consents/{id}``."""

    name = string(required=True)


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
    consent = string()
    transcript = string()
    description = string()
    language = string(validate=LANGUAGE)


class PromptSchema(NameSchema):
    """The body of ``POST /v1/audio/voices`` for a designed voice."""

    type = string(required=True)
    prompt = string(required=True)
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


class VoiceSearchSchema(RequestSchema):
    """The query of ElevenLabs' voice search."""

    search = string()
    next_page_token = string()
    page_size = fields.Integer(
        load_default=10,
        validate=validate.Range(1, 100, error="must be a whole number from 1 to 100."),
        error_messages={"invalid": "must be a whole number from 1 to 100."},
    )


class PageSchema(RequestSchema):
    """The query of a paginated list."""

    after = string()
    limit = fields.Integer(
        load_default=20,
        validate=validate.Range(1, 100, error="must be a whole number from 1 to 100."),
        error_messages={"invalid": "must be a whole number from 1 to 100."},
    )


class CursorSchema(RequestSchema):
    """The query of a paginated list, in ElevenLabs' shape."""

    cursor = string()
    page_size = fields.Integer(
        load_default=30,
        validate=validate.Range(1, 100, error="must be a whole number from 1 to 100."),
        error_messages={"invalid": "must be a whole number from 1 to 100."},
    )


USAGE_GROUPS = ("api_key_id", "model", "project_id", "user_id")


class UsageSchema(RequestSchema):
    """The query of the usage of keys."""

    start_time = whole_text(0, LATEST, required=True)
    end_time = whole_text(0, LATEST)
    bucket_width = string(
        load_default="1d",
        validate=validate.OneOf(
            ["1h", "1d"], error="must be '1d' or '1h': usage is kept by the hour."
        ),
    )
    group_by = fields.List(
        string(),
        validate=validate.ContainsOnly(
            USAGE_GROUPS, error=f"must be some of: {', '.join(USAGE_GROUPS)}."
        ),
    )
    api_key_ids = fields.List(string(MAX_NAME))
    models = fields.List(string(MAX_NAME))
    project_ids = fields.List(string(MAX_NAME))
    user_ids = fields.List(string(MAX_NAME))
    limit = whole_text(1, 168)
    page = string(MAX_NAME)


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
    try:
        return schema.load(values)
    except ValidationError as error:
        field, message = _first("", error.normalized_messages())  # type: ignore[no-untyped-call]
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
