"""The queries of requests: each parameter is checked by itself, as the fields of a body are."""

from __future__ import annotations

from marshmallow import fields, validate

from voxcpm_openai.web.elevenlabs_shapes import DEFAULT_FORMAT, OUTPUT_FORMATS
from voxcpm_openai.web.fields import LATEST, MAX_NAME, described, string, whole_text
from voxcpm_openai.web.schemas import RequestSchema

USAGE_GROUPS = ("api_key_id", "model", "project_id", "user_id")


class ListingSchema(RequestSchema):
    """The query of the list of voices."""

    legacy = string(**described("`true` or `1`: only the ids of the voices."))


class OutputFormatSchema(RequestSchema):
    """The query of ElevenLabs' text to speech; its other parameters have no effect."""

    output_format = string(
        **described(
            "The format, its sample rate in Hz and its bit rate in kbit/s.",
            enum=list(OUTPUT_FORMATS),
            default=DEFAULT_FORMAT,
        )
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
