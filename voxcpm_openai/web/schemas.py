"""Request schemas: each field is checked by itself.  Error messages are for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Request
from marshmallow import INCLUDE, Schema, ValidationError, fields, post_load, validate

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.resolve import SpeechRequest
from voxcpm_openai.text.lexicon import LexiconError, LexiconRule
from voxcpm_openai.text.lexicon_files import rules_of_list, rules_of_table
from voxcpm_openai.voices import validation
from voxcpm_openai.web.body import check_values, json_object

SAMPLE_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""The sample rates that the codecs support, in Hz."""

MAX_INSTRUCTIONS = 4096
MAX_NAME = 256
"""The longest name of a model, voice or format, in characters: error messages repeat it."""

UNSET_INSTRUCTIONS = ("", "None")
"""Home Assistant sends the string "None" for instructions that are not set."""


class VoiceName(fields.Field[str | None]):
    """A voice as a string or as ``{"id": "..."}``; an empty string means the default voice."""

    def _deserialize(self, value: object, *_: object, **__: object) -> str | None:
        if isinstance(value, dict):
            value = value.get("id")
            if not value:
                raise ValidationError('must be a voice\'s id, or {"id": "..."}.')
        if not isinstance(value, str):
            raise ValidationError('must be a voice\'s id, or {"id": "..."}.')
        if len(value) > MAX_NAME:
            raise ValidationError(f"must have at most {MAX_NAME} characters.")
        return value.strip() or None


class LexiconTable(fields.Field[dict[str, object]]):
    """The rules of a request: ``{"Nguyen": "win"}``, or ``{"Nguyen": {"ipa": "wɪn"}}``."""

    def _deserialize(self, value: object, *_: object, **__: object) -> dict[str, object]:
        try:
            rules_of_table(value)
        except LexiconError as error:
            raise ValidationError(f"is wrong: {error}") from error
        assert isinstance(value, dict)
        return value


class TrueOrFalse(fields.Field[bool]):
    """A boolean; no number and no word stands for one."""

    def _deserialize(self, value: object, *_: object, **__: object) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false.")
        return value


class DictionaryRules(fields.Field[list[LexiconRule]]):
    """The rules of a pronunciation dictionary, in ElevenLabs' shape."""

    def _deserialize(self, value: object, *_: object, **__: object) -> list[LexiconRule]:
        try:
            return rules_of_list(value)
        except LexiconError as error:
            raise ValidationError(f"is wrong: {error}") from error


def _number(low: float, high: float) -> fields.Float:
    message = f"must be a number from {low} to {high}."
    return fields.Float(
        allow_none=True,
        validate=validate.Range(low, high, error=message),
        error_messages={"invalid": message, "special": message, "too_large": message},
    )


def _integer(low: int, high: int) -> fields.Integer:
    message = f"must be a whole number from {low} to {high}."
    return fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(low, high, error=message),
        error_messages={"invalid": message, "too_large": message},
    )


def _text(longest: int | None = None, **kwargs: Any) -> fields.String:
    if longest is not None:
        message = f"must have at most {longest} characters."
        kwargs["validate"] = validate.Length(max=longest, error=message)
    return fields.String(error_messages={"invalid": "must be a string."}, **kwargs)


LANGUAGE = validate.Regexp(
    validation.LANGUAGE, error="must be a language code such as 'en' or 'en-US'."
)


class RequestSchema(Schema):
    """The fields of a request's body.  Null means unset, except for required fields."""

    class Meta:
        """Keep unknown fields: a header reports them, or strict mode refuses them."""

        unknown = INCLUDE


class SpeechSchema(RequestSchema):
    """The body of ``POST /v1/audio/speech``."""

    model = _text(MAX_NAME, required=True)
    input = _text(required=True)
    voice = VoiceName(allow_none=True)
    response_format = _text(MAX_NAME, allow_none=True)
    speed = _number(0.25, 4.0)
    instructions = _text(MAX_INSTRUCTIONS, allow_none=True)
    stream_format = _text(
        allow_none=True,
        validate=validate.OneOf(["audio", "sse"], error="must be 'audio' or 'sse'."),
    )
    seed = _integer(0, 2**63 - 1)
    sample_rate = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.OneOf(
            SAMPLE_RATES, error=f"must be one of {', '.join(map(str, SAMPLE_RATES))}."
        ),
        error_messages={"invalid": "must be a whole number."},
    )
    cfg_value = _number(0.1, 10.0)
    inference_steps = _integer(2, 100)  # the solver skips its first step
    language = _text(allow_none=True, validate=LANGUAGE)
    lexicon = LexiconTable(allow_none=True)
    normalize = TrueOrFalse(allow_none=True)

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

    model = _text(MAX_NAME, allow_none=True)

    @post_load(pass_original=True)
    def make(
        self, data: dict[str, Any], original: Mapping[str, object], **_: object
    ) -> SpeechRequest:
        """Make a request of the fields that are set."""
        request: SpeechRequest = super().make({**data, "model": data.get("model") or ""}, original)
        return request


class NameSchema(RequestSchema):
    """The body of ``POST /v1/audio/voice_consents/{id}``."""

    name = _text(required=True)


class ConsentSchema(NameSchema):
    """The text fields of ``POST /v1/audio/voice_consents``."""

    language = _text(required=True, validate=LANGUAGE)


class VoiceSchema(NameSchema):
    """The text fields of ``POST /v1/audio/voices``."""

    type = _text(
        validate=validate.OneOf(
            ["audio_sample"],
            error="must be 'audio_sample'; POST /v1/voices designs a voice from a description.",
        )
    )
    consent = _text()
    transcript = _text()
    description = _text()
    language = _text(validate=LANGUAGE)


class DesignSchema(NameSchema):
    """The body of ``POST /v1/voices`` without a clip."""

    description = _text(required=True)
    language = _text(allow_none=True, validate=LANGUAGE)


class ChangeSchema(RequestSchema):
    """The body of ``PATCH /v1/voices/{id}``."""

    name = _text(allow_none=True)
    description = _text(allow_none=True)


class DictionarySchema(NameSchema):
    """The body of ``POST /v1/pronunciation-dictionaries/add-from-rules``."""

    rules = DictionaryRules(required=True)
    description = _text(allow_none=True)
    workspace_access = fields.Raw(allow_none=True)  # there are no workspaces


class PageSchema(RequestSchema):
    """The query of a paginated list."""

    after = _text()
    limit = fields.Integer(
        load_default=20,
        validate=validate.Range(1, 100, error="must be a whole number from 1 to 100."),
        error_messages={"invalid": "must be a whole number from 1 to 100."},
    )


class CursorSchema(RequestSchema):
    """The query of a paginated list, in ElevenLabs' shape."""

    cursor = _text()
    page_size = fields.Integer(
        load_default=30,
        validate=validate.Range(1, 100, error="must be a whole number from 1 to 100."),
        error_messages={"invalid": "must be a whole number from 1 to 100."},
    )


def load_speech(request: Request) -> SpeechRequest:
    """Return a speech request.  Raises InvalidRequest for the first wrong field."""
    loaded: SpeechRequest = _load(SpeechSchema(), json_object(request))
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
        messages: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        field = next(iter(messages))
        raise InvalidRequest(_sentence(field, messages[field]), param=field) from error


def _sentence(field: str, messages: Any) -> str:
    message = str(messages[0] if isinstance(messages, list) else messages)
    if message in ("Missing data for required field.", "Field may not be null."):
        return f"'{field}' is required."
    return f"'{field}' {message}"
