"""Fields of requests: how each value is read.  Error messages are for people.

Real clients send numbers as strings, languages by name, and empty strings for what is not set.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate

from voxcpm_openai.text.language import LANGUAGES
from voxcpm_openai.text.lexicon import LexiconError, LexiconRule
from voxcpm_openai.text.lexicon_files import MAX_RULES, rules_of_list, rules_of_table
from voxcpm_openai.voices import validation

SAMPLE_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""The sample rates that the codecs support, in Hz."""

MAX_INSTRUCTIONS = 4096
MAX_NAME = 256
"""The longest name of a model, voice or format, in characters: error messages repeat it."""

MIN_SPEED, MAX_SPEED = 0.25, 4.0

MAX_SILENCE_MS = 2000
"""The longest silence before or after the speech, in milliseconds."""

LATEST = 2**35
"""The latest time of a query, in Unix seconds: far in the future."""

UNSET_INSTRUCTIONS = ("", "None")
"""Home Assistant sends the string "None" for instructions that are not set."""


JsonSchema = dict[str, object]
"""What a field takes, in JSON Schema; fields of marshmallow's own kinds need none."""


def described(text: str, **more: object) -> dict[str, Any]:
    """Return the argument of a field that describes it in the API reference.

    ``more``: further keywords of JSON Schema.
    """
    return {"metadata": {"description": text, **more}}


class VoiceName(fields.Field[str | None]):
    """A voice as a string or as ``{"id": "..."}``; an empty string means the default voice."""

    json_schema: ClassVar[JsonSchema] = {
        "anyOf": [
            {"type": "string", "maxLength": MAX_NAME},
            {
                "type": "object",
                "properties": {"id": {"type": "string", "minLength": 1, "maxLength": MAX_NAME}},
                "required": ["id"],
            },
        ]
    }

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

    json_schema: ClassVar[JsonSchema] = {
        "type": "object",
        "maxProperties": MAX_RULES,
        "additionalProperties": {"type": ["string", "object"]},
    }

    def _deserialize(self, value: object, *_: object, **__: object) -> dict[str, object]:
        try:
            rules_of_table(value)
        except LexiconError as error:
            raise ValidationError(f"is wrong: {error}") from error
        assert isinstance(value, dict)
        return value


class Seed(fields.Field[int | None]):
    """A seed: 42, "42" or 42.0; -1 means a random one, as for other speech servers."""

    LARGEST = 2**63 - 1

    json_schema: ClassVar[JsonSchema] = {
        "anyOf": [
            {"type": "integer", "minimum": -1, "maximum": LARGEST},
            {"type": "string", "pattern": "^-?[0-9]{1,18}$"},
        ]
    }

    def _deserialize(self, value: object, *_: object, **__: object) -> int | None:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value.strip()):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError(self._message())
        if not -1 <= value <= self.LARGEST:
            raise ValidationError(self._message())
        return None if value == -1 else value

    def _message(self) -> str:
        return f"must be a whole number from 0 to {self.LARGEST}, or -1 for a random one."


LANGUAGE = validate.Regexp(
    validation.LANGUAGE, error="must be a language code such as 'en' or 'en-US'."
)


class Language(fields.Field[str | None]):
    """A language by its code or its English name; "auto" is unset: the text decides."""

    json_schema: ClassVar[JsonSchema] = {"type": "string"}

    def _deserialize(self, value: object, *_: object, **__: object) -> str | None:
        if not isinstance(value, str):
            raise ValidationError("must be a string.")
        name = value.strip()
        if name.lower() == "auto":
            return None
        code = LANGUAGES.get(name.lower(), name)
        if not re.match(validation.LANGUAGE, code):
            raise ValidationError(
                "must be a language code such as 'en' or 'en-US', the English name of a language, "
                "or 'auto'."
            )
        return code


class VoiceSettings(fields.Field[float | None]):
    """ElevenLabs' settings of a voice, of which the speed counts."""

    json_schema: ClassVar[JsonSchema] = {
        "type": "object",
        "properties": {
            "speed": {"type": ["number", "null"], "minimum": MIN_SPEED, "maximum": MAX_SPEED}
        },
    }

    def _deserialize(self, value: object, *_: object, **__: object) -> float | None:
        if not isinstance(value, dict):
            raise ValidationError('must be an object such as {"speed": 1.1}.')
        try:
            return number(MIN_SPEED, MAX_SPEED).deserialize(value.get("speed"))
        except ValidationError as error:
            raise ValidationError(f"has a wrong speed, which {error.messages[0]}") from error


class TrueOrFalse(fields.Field[bool]):
    """A boolean; no number and no word stands for one."""

    json_schema: ClassVar[JsonSchema] = {"type": "boolean"}

    def _deserialize(self, value: object, *_: object, **__: object) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false.")
        return value


class BatchItems(fields.Field[list[dict[str, object]]]):
    """The items of a batch: each is checked by itself, so that a wrong one fails no other."""

    MOST = 32

    json_schema: ClassVar[JsonSchema] = {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST,
        "items": {"$ref": "#/components/schemas/BatchItemRequest"},
    }

    def __init__(self, **kwargs: Any) -> None:
        message = f"must be a list of 1 to {self.MOST} objects."
        messages: dict[str, Any] = dict.fromkeys(("required", "null", "invalid"), message)
        super().__init__(error_messages=messages, **kwargs)

    def _deserialize(self, value: object, *_: object, **__: object) -> list[dict[str, object]]:
        if not isinstance(value, list) or not 1 <= len(value) <= self.MOST:
            raise self.make_error("invalid")
        if not all(isinstance(item, dict) for item in value):
            raise ValidationError('must be objects such as {"input": ...}.')
        return value


class DictionaryRules(fields.Field[list[LexiconRule]]):
    """The rules of a pronunciation dictionary, in ElevenLabs' shape."""

    json_schema: ClassVar[JsonSchema] = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_RULES,
        "items": {
            "type": "object",
            "properties": {
                "type": {"enum": ["alias", "phoneme"]},
                "string_to_replace": {"type": "string"},
                "alias": {"type": "string"},
                "phoneme": {"type": "string"},
                "alphabet": {"enum": ["ipa"]},
                "case_sensitive": {"type": "boolean"},
                "word_boundaries": {"type": "boolean"},
            },
            "required": ["type", "string_to_replace"],
        },
    }

    def _deserialize(self, value: object, *_: object, **__: object) -> list[LexiconRule]:
        try:
            return rules_of_list(value)
        except LexiconError as error:
            raise ValidationError(f"is wrong: {error}") from error


def number(low: float, high: float, **kwargs: Any) -> fields.Float:
    """Return a field for a number within bounds."""
    message = f"must be a number from {low} to {high}."
    return fields.Float(
        allow_none=True,
        validate=validate.Range(low, high, error=message),
        error_messages={"invalid": message, "special": message, "too_large": message},
        **kwargs,
    )


def whole(low: int, high: int, **kwargs: Any) -> fields.Integer:
    """Return a field for a whole number within bounds."""
    message = f"must be a whole number from {low} to {high}."
    return fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(low, high, error=message),
        error_messages={"invalid": message, "too_large": message},
        **kwargs,
    )


def whole_text(low: int, high: int, **kwargs: Any) -> fields.Integer:
    """Return a field for a whole number within bounds, as the text of a query."""
    message = f"must be a whole number from {low} to {high}."
    return fields.Integer(
        validate=validate.Range(low, high, error=message),
        error_messages={"invalid": message, "too_large": message},
        **kwargs,
    )


def string(longest: int | None = None, **kwargs: Any) -> fields.String:
    """Return a field for a string of at most ``longest`` characters."""
    if longest is not None:
        message = f"must have at most {longest} characters."
        kwargs["validate"] = validate.Length(max=longest, error=message)
    return fields.String(error_messages={"invalid": "must be a string."}, **kwargs)
