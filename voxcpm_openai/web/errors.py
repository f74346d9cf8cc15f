"""Turns every exception into a response in OpenAI's error envelope; nothing else does."""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from voxcpm_openai.errors import RequestError
from voxcpm_openai.web.access_log import log_context

logger = logging.getLogger(__name__)


def envelope(
    message: str, type_: str, param: str | None = None, code: str | None = None
) -> dict[str, dict[str, str | None]]:
    """Return the error object, all four keys always present."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def init_app(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(RequestError, _requested)
    app.register_error_handler(HTTPException, _framework)
    app.register_error_handler(Exception, _unexpected)


def _requested(error: RequestError) -> Response:
    log_context(param=error.param or "-", code=error.code or "-")
    body = envelope(error.message, error.type, error.param, error.code)
    return _response(body, error.status, error.headers)


def _framework(error: HTTPException) -> Response:
    """Map errors of Flask and Werkzeug; their headers, such as ``Allow``, are kept."""
    status = error.code or 500
    code = "unknown_url" if status == 404 else None
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    type_ = "invalid_request_error" if status < 500 else "server_error"
    return _response(envelope(_words(error, status), type_, code=code), status, headers)


def _words(error: HTTPException, status: int) -> str:
    match status:
        case 404:
            return f"Unknown URL: {request.method} {request.path}."
        case 405:
            allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
            return f"{request.path} does not take {request.method}. It takes: {allowed}."
        case 413:
            return "The request body is too large."
        case _:
            return error.description or error.name


def _unexpected(error: Exception) -> Response:
    logger.exception("unexpected error in %s %s", request.method, request.path, exc_info=error)
    message = "The server failed to process the request. Its log has the trace by request id."
    return _response(envelope(message, "server_error"), 500, {})


def _response(body: object, status: int, headers: dict[str, str]) -> Response:
    response = jsonify(body)
    response.status_code = status
    response.headers.update(headers)
    return response
