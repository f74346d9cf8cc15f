"""The body of a request: its bytes, the JSON in them, and the values that no field may have.

What Python says about a body is not repeated to the client: it names Python's own functions.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType

from voxcpm_openai.errors import InvalidRequest

MAX_DEPTH = 32
"""How many objects and lists may contain each other."""
MAX_DIGITS = 400
"""The longest whole number: as many digits as the largest floating-point number has, and some."""
MAX_SHOWN = 64
"""How many characters of a key an error message repeats."""


def json_object(request: Request) -> dict[str, Any]:
    """Return the JSON object that is the body of a request.

    Raises InvalidRequest, and the errors of ``read_body``.
    """
    if request.mimetype not in ("application/json", ""):
        raise UnsupportedMediaType(
            f"The body must be JSON (Content-Type: application/json), not {request.mimetype}."
        )
    try:
        text = read_body(request).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not valid JSON: it is not UTF-8.") from error
    return parse_object(text, "body")


def parse_object(text: str, kind: str) -> dict[str, Any]:
    """Return a JSON object; ``kind``: what the text is.  Raises InvalidRequest."""
    try:
        value = json.loads(text, parse_int=_whole, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        where = f"there is an error in line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The {kind} is not valid JSON: {where}.") from error
    except RecursionError as error:
        raise InvalidRequest(f"The {kind} is nested {_TOO_DEEPLY}.") from error
    if not isinstance(value, dict):
        raise InvalidRequest(f'The {kind} must be a JSON object, such as {{"model": ...}}.')
    return value


def read_body(request: Request) -> bytes:
    """Return the bytes of a body.

    Raises RequestEntityTooLarge, ClientDisconnected, and UnsupportedMediaType if it is compressed.
    """
    require_plain(request)
    content = request.get_data()
    limit = request.max_content_length
    # Werkzeug cuts a body without a length at the limit, instead of refusing it.
    if limit is not None and request.content_length is None and len(content) >= limit:
        try:
            if request.environ["wsgi.input"].read(1):
                raise RequestEntityTooLarge
        except OSError as error:
            raise ClientDisconnected from error
    return content


def require_plain(request: Request) -> None:
    """Raise UnsupportedMediaType for a compressed body."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMediaType("The body must not be compressed (Content-Encoding).")


def check_values(values: Mapping[str, object]) -> None:
    """Check what fields contain, at any depth.

    Raises InvalidRequest for lone surrogates, which JSON may contain and UTF-8 may not, for numbers
    that are infinite or not numbers, and for values that are nested too deeply.
    """
    for name, value in values.items():
        if not _is_unicode(name):
            raise InvalidRequest(f"The name of a field {_SURROGATE}.")
        if problem := _problem(value):
            raise InvalidRequest(f"'{name[:MAX_SHOWN]}' {problem}.", param=name)


_TOO_DEEPLY = f"too deeply: at most {MAX_DEPTH} levels are allowed"
_SURROGATE = "has a lone surrogate, which is not valid Unicode"


def _problem(value: object) -> str | None:
    """Return what is wrong with a value, or None."""
    waiting = [(value, 2)]  # the field is in an object
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str) and not _is_unicode(item):
            return _SURROGATE
        if isinstance(item, float) and not math.isfinite(item):
            return "has a number that is too large, or not a number"
        if isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                return f"is nested {_TOO_DEEPLY}"
            waiting += ((inner, depth + 1) for inner in _parts(item))
    return None


def _parts(item: dict[str, object] | list[object]) -> Iterator[object]:
    if isinstance(item, dict):
        yield from item
        yield from item.values()
    else:
        yield from item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object.  Raises InvalidRequest for a key that is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise InvalidRequest(f"The key '{twice[:MAX_SHOWN]}' is twice in one JSON object.")
    return found


def _whole(digits: str) -> float:
    """Return a whole number, or infinity for one that is longer than Python reads."""
    return int(digits) if len(digits) <= MAX_DIGITS else math.inf


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
