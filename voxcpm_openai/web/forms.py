"""Multipart bodies: some texts, and one file of sound."""

from __future__ import annotations

from typing import Any

from flask import Request
from werkzeug.exceptions import UnsupportedMediaType

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.voices.clip import MAX_BYTES
from voxcpm_openai.web.schemas import Body, load

OVERHEAD = 256 * 1024
"""Room in a body for the texts and for what stands between the parts, in bytes."""

MULTIPART = "multipart/form-data"


def is_form(request: Request) -> bool:
    """Whether the body is multipart; it may then be larger than others, if nothing was read yet."""
    if request.mimetype != MULTIPART:
        return False
    request.max_content_length = MAX_BYTES + OVERHEAD
    return True


def load_form(
    schema: Body, request: Request, *, file: str, strict: bool
) -> tuple[dict[str, Any], bytes]:
    """Read the texts, as ``schemas.load`` does, and the content of the part ``file``.

    Raises InvalidRequest for what is missing, wrong or there twice, and RequestEntityTooLarge.
    """
    if not is_form(request):
        wants = f"The body must be {MULTIPART}, with '{file}' as a file"
        if request.mimetype in ("application/json", ""):
            raise InvalidRequest(f"{wants}.", param=file)
        raise UnsupportedMediaType(f"{wants}, not {request.mimetype}.")
    texts = load_texts(schema, request, file=file, strict=strict)
    files = request.files.getlist(file)
    if len(files) > 1:
        raise InvalidRequest(f"'{file}' must be one file, not {len(files)}.", param=file)
    if not files:
        wrong = "must be a file, not a text" if file in request.form else "is required: a file"
        raise InvalidRequest(f"'{file}' {wrong}.", param=file)
    return texts, files[0].read()


def load_texts(schema: Body, request: Request, *, file: str, strict: bool) -> dict[str, Any]:
    """Read the texts of a multipart body.  Raises InvalidRequest."""
    for name, values in request.form.lists():
        if len(values) > 1:
            raise InvalidRequest(f"'{name}' must be there once, not twice.", param=name)
    given = {name: value for name, value in request.form.items() if name != file}
    # A form sends what nobody filled in as an empty text.
    return load(schema, {n: v for n, v in given.items() if v or n == "name"}, strict=strict)
