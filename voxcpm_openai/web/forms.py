"""Multipart bodies: text fields and one audio file."""

from __future__ import annotations

from typing import Any

from flask import Request
from werkzeug.exceptions import UnsupportedMediaType

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.voices.intake.clip import MAX_BYTES
from voxcpm_openai.web.body import require_plain
from voxcpm_openai.web.schemas import RequestSchema, load

OVERHEAD = 256 * 1024
"""Bytes of a body beyond the file: the text fields and the boundaries."""
MAX_LENGTH = MAX_BYTES + OVERHEAD
"""Bytes of a body with a file."""

MULTIPART = "multipart/form-data"


def is_form(request: Request) -> bool:
    """Return whether the body is multipart; if so, allow it to be larger.

    Raises UnsupportedMediaType if it is compressed.
    """
    if request.mimetype != MULTIPART:
        return False
    require_plain(request)
    request.max_content_length = MAX_LENGTH
    return True


def load_form(
    schema: RequestSchema, request: Request, *, file: str, strict: bool
) -> tuple[dict[str, Any], bytes]:
    """Return the text fields, as ``schemas.load`` does, and the content of the part ``file``.

    Raises InvalidRequest for fields that are missing, wrong or repeated, and
    RequestEntityTooLarge.
    """
    if not is_form(request):
        expected = f"The body must be {MULTIPART}, with '{file}' as a file"
        if request.mimetype in ("application/json", ""):
            raise InvalidRequest(f"{expected}.", param=file)
        raise UnsupportedMediaType(f"{expected}, not {request.mimetype}.")
    texts = load_texts(schema, request, file=file, strict=strict)
    files = request.files.getlist(file)
    if len(files) > 1:
        raise InvalidRequest(f"'{file}' must be one file, not {len(files)}.", param=file)
    if not files:
        wrong = "must be a file, not a text" if file in request.form else "is required: a file"
        raise InvalidRequest(f"'{file}' {wrong}.", param=file)
    return texts, files[0].read()


def load_texts(
    schema: RequestSchema, request: Request, *, file: str, strict: bool
) -> dict[str, Any]:
    """Return the text fields of a multipart body.  Raises InvalidRequest."""
    for name, values in request.form.lists():
        if name is None:  # a part without a name; mypy knows of none
            raise InvalidRequest("A part of the form has no name.")
        if len(values) > 1:
            raise InvalidRequest(f"'{name}' must not be repeated.", param=name)
    given = {name: value for name, value in request.form.items() if name != file}
    # Forms send fields that were not filled in as empty strings.
    return load(schema, {n: v for n, v in given.items() if v or n == "name"}, strict=strict)
