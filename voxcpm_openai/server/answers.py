"""Answers to requests that never reach the app, in OpenAI's error envelope."""

from __future__ import annotations

import http
import json
import logging
import ssl
import uuid

from gunicorn.http import errors as http_errors

from voxcpm_openai.web.access_log import API_VERSION, NO_PAGE, SECURITY
from voxcpm_openai.web.errors import envelope

logger = logging.getLogger(__name__)

STATUSES: dict[type[Exception], int] = {
    http_errors.LimitRequestLine: 414,
    http_errors.LimitRequestHeaders: 431,
    http_errors.ExpectationFailed: 417,
    http_errors.UnsupportedTransferCoding: 501,
    http_errors.ForbiddenProxyRequest: 403,
}
"""The statuses of gunicorn's errors; its others are a 400."""


def refusal(status: int, message: str, code: str | None = None) -> bytes:
    """Return a whole response, and log it; the connection must be closed after it."""
    request_id = f"req_{uuid.uuid4().hex}"
    logger.info("id=%s status=%d refused: %s", request_id, status, message)
    return _response(status, message, code, request_id)


def failure(error: BaseException) -> bytes:
    """Return the response to a request that gunicorn could not parse, or that failed."""
    status, message = _describe(error)
    if status < 500:
        return refusal(status, message)
    request_id = f"req_{uuid.uuid4().hex}"
    logger.error("unexpected error id=%s", request_id, exc_info=error)
    return _response(status, message, None, request_id)


def _response(status: int, message: str, code: str | None, request_id: str) -> bytes:
    type_ = "invalid_request_error" if status < 500 else "server_error"
    body = json.dumps(envelope(message, type_, code=code)).encode()
    retry = "Retry-After: 1\r\n" if status in {429, 503} else ""
    security = "".join(f"{name}: {value}\r\n" for name, value in {**SECURITY, **NO_PAGE}.items())
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"{retry}"
        f"x-request-id: {request_id}\r\n"
        "openai-processing-ms: 0\r\n"
        f"openai-version: {API_VERSION}\r\n"
        "Access-Control-Expose-Headers: x-request-id\r\n"
        f"{security}"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def _describe(error: BaseException) -> tuple[int, str]:
    for kind, status in STATUSES.items():
        if isinstance(error, kind):
            return status, f"{error}."
    if isinstance(error, http_errors.ParseException | ssl.SSLError):
        return 400, f"The request is not valid HTTP: {error}."
    return 500, "The server failed to process the request. Its log has the trace by request id."
