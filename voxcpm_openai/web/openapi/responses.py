"""The responses in the API reference: errors by status, and what their bodies and headers are."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable

from werkzeug.exceptions import (
    HTTPException,
    NotFound,
    RequestEntityTooLarge,
    RequestURITooLarge,
    UnsupportedMediaType,
)

from voxcpm_openai import errors
from voxcpm_openai.errors import ClientLeft, InvalidRequest, RequestError, Unauthorized
from voxcpm_openai.web import elevenlabs_shapes
from voxcpm_openai.web.elevenlabs_shapes import ErrorDetail, ErrorEnvelope
from voxcpm_openai.web.openapi.json_types import Json, JsonTypes
from voxcpm_openai.web.openapi.operation import Errors, Operation
from voxcpm_openai.web.speech import CACHE, IGNORED, RATE

HEADERS = {
    RATE: "The sample rate of the audio, in Hz.",
    IGNORED: "The fields of the request without effect.",
    CACHE: "`hit` or `miss`, where speech is cached.",
    "Retry-After": "The seconds after which a retry may succeed.",
    "x-should-retry": "`false` where a retry cannot help, which OpenAI's SDKs obey.",
    "WWW-Authenticate": "The scheme of the key.",
    "Upgrade": "The protocol of this URL.",
    "Sec-WebSocket-Version": "The version of that protocol.",
}
"""What the headers of responses mean."""

BODY: Errors = (InvalidRequest, RequestEntityTooLarge, UnsupportedMediaType)
"""The errors of all views that take a body."""
SOCKET: Errors = (InvalidRequest, errors.ForbiddenOrigin, errors.UpgradeRequired)
"""The errors of all WebSockets: of their handshake."""
UNROUTED = frozenset({414})
"""Statuses of requests that never reach the app, whose answers are always in OpenAI's shape."""
CLASSES: dict[str, type[RequestError] | type[HTTPException]] = {
    **{
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, RequestError) and kind is not ClientLeft
    },
    "NotFound": NotFound,  # the framework's: of this package's own, a subclass is raised
}


def raised(view: Callable[..., object]) -> Errors:
    """Return the errors that the docstring of a view names after ``Raises``."""
    _, _, names = (inspect.getdoc(view) or "").partition("Raises ")
    return tuple(CLASSES[name] for name in re.findall(r"\b[A-Z]\w+", names) if name in CLASSES)


def errors_of(
    view: Callable[..., object], operation: Operation, path: str, *, keyed: bool, socket: bool
) -> Errors:
    """Return the errors of a view; ``keyed``: it needs an API key."""
    found = [*raised(view), *operation.raises]
    if operation.bodies:
        found += BODY
    if operation.query:
        found.append(InvalidRequest)
    if operation.query or "{" in path:
        found.append(RequestURITooLarge)
    if keyed:
        found.append(Unauthorized)
    if socket:
        found += SOCKET
    return (*dict.fromkeys(found), RequestError)


def error_responses(
    found: Errors, types: JsonTypes, *, path: str, blueprint: str
) -> dict[str, Json]:
    """Return the responses for errors, by status, in the shape of the API that has the route."""
    texts: dict[int, list[str]] = defaultdict(list)
    headers: dict[int, set[str]] = defaultdict(set)
    for kind in found:
        status = kind.status if issubclass(kind, RequestError) else kind.code or 500
        texts[status].append(_text(kind))
        headers[status] |= _headers(kind)
    own = _schema(types, path, blueprint)
    return {
        str(status): {
            "description": "\n".join(f"- {text}" for text in texts[status]),
            "content": {
                "application/json": {
                    "schema": types.schema(ErrorEnvelope) if status in UNROUTED else own
                }
            },
            **headers_json(sorted(headers[status])),
        }
        for status in sorted(texts)
    }


def headers_json(names: Iterable[str]) -> Json:
    """Return the part of a response that lists these headers."""
    described = {
        name: {"description": HEADERS[name], "schema": {"type": "string"}} for name in names
    }
    return {"headers": described} if described else {}


def _schema(types: JsonTypes, path: str, blueprint: str | None) -> Json:
    """Return the schema of the errors of a route, in the shape of its API."""
    if elevenlabs_shapes.is_own(path):
        return types.schema(ErrorDetail)
    if elevenlabs_shapes.is_shared(path, blueprint):
        return types.schema(ErrorEnvelope | ErrorDetail)
    return types.schema(ErrorEnvelope)


def _text(kind: type[RequestError] | type[HTTPException]) -> str:
    """Return the code of an error, if its class has one, and the first sentence about it."""
    if kind is RequestError:
        return "Anything unexpected; the log of the server has the trace."
    if not issubclass(kind, RequestError):
        return f"{kind().name}."
    described = (inspect.getdoc(kind) or "").splitlines()[0].replace("``", "`")
    code = kind("").code
    return f"`{code}`: {described}" if code else described


def _headers(kind: type[RequestError] | type[HTTPException]) -> set[str]:
    """Return the names of the headers that errors of a class may have."""
    return set(kind("").headers) if issubclass(kind, RequestError) else set()
