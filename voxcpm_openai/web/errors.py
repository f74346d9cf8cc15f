"""Turns every exception into a response in OpenAI's error envelope; nothing else does.

Clients of ElevenLabs get the same in its shape.
"""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify, request
from gunicorn.http.errors import LimitRequestHeaders, ParseException
from werkzeug.exceptions import HTTPException
from werkzeug.routing.exceptions import WebsocketMismatch

from voxcpm_openai.errors import RequestError
from voxcpm_openai.metrics.speech_meter import code_of, outcome_of
from voxcpm_openai.web import elevenlabs_shapes
from voxcpm_openai.web.access_log import log_context, shown
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.elevenlabs_shapes import ErrorEnvelope

logger = logging.getLogger(__name__)


def envelope(
    message: str, type_: str, param: str | None = None, code: str | None = None
) -> ErrorEnvelope:
    """Return the error object, all four keys always present, as text that UTF-8 can carry."""
    return {
        "error": {
            "message": _encodable(message),
            "type": type_,
            "param": None if param is None else _encodable(param),
            "code": code,
        }
    }


def _encodable(text: str) -> str:
    """Return a text, part of which a client may have sent, without lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def init_app(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(RequestError, _requested)
    app.register_error_handler(HTTPException, _framework)
    app.register_error_handler(ParseException, _malformed)
    app.register_error_handler(Exception, _unexpected)


def _requested(error: RequestError) -> Response:
    current_context().metrics.refused(code_of(error))
    outcome, _ = outcome_of(error)
    log_context(param=error.param or "-", outcome=outcome, code=error.code or "-")
    body = envelope(error.message, error.type, error.param, error.code)
    return _response(body, error.status, error.headers)


def _framework(error: HTTPException) -> Response:
    """Map errors of Flask and Werkzeug; their headers, such as ``Allow``, are kept."""
    status = error.code or 500
    code = "unknown_url" if status == 404 else None
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    type_ = "invalid_request_error" if status < 500 else "server_error"
    _count(status)
    return _response(envelope(_words(error, status), type_, code=code), status, headers)


def _malformed(error: ParseException) -> Response:
    """Refuse a body whose chunks or trailers are malformed, which is found while it is read.

    gunicorn ends the connection: where the next request begins is unknown.
    """
    status = 431 if isinstance(error, LimitRequestHeaders) else 400
    logger.info("the body of %s is malformed: %s", shown(request.path), error)
    message = "The body is not valid HTTP: its chunks or its trailers are malformed or too long."
    body = envelope(message, "invalid_request_error")
    _count(status)
    return _response(body, status, {})


def _words(error: HTTPException, status: int) -> str:
    match status:
        case 404:
            return f"Unknown URL: {request.method} {request.path}."
        case 405:
            allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
            return f"{request.path} does not take {request.method}. It takes: {allowed}."
        case 413:
            limit = request.max_content_length
            most = "" if limit is None else f" The limit is {limit:,} bytes."
            return f"The request body is too large.{most}"
        case 400 if isinstance(error, WebsocketMismatch):
            return f"{request.path} is not a WebSocket."
        case 400 if error.description == type(error).description:
            return "The request is not valid HTTP, or it ended before its body was complete."
        case _:
            return error.description or error.name


def _unexpected(error: Exception) -> Response:
    place = f"{shown(request.method)} {shown(request.path)}"
    logger.exception("unexpected error in %s", place, exc_info=error)
    _count(500)
    message = "The server failed to process the request. Its log has the trace by request id."
    return _response(envelope(message, "server_error"), 500, {})


def _count(status: int) -> None:
    """Count an error without a code."""
    current_context().metrics.refused(f"http_{status}")


def _response(body: ErrorEnvelope, status: int, headers: dict[str, str]) -> Response:
    response = jsonify(
        elevenlabs_shapes.detail(status, body) if elevenlabs_shapes.is_asked_for() else body
    )
    response.status_code = status
    response.headers.update(headers)
    return response
