"""The gunicorn worker: gthread, with gunicorn's own errors in OpenAI's envelope."""

from __future__ import annotations

import http
import json
import logging
import socket
import ssl
import uuid
from types import FrameType

from flask import Flask
from gunicorn.http import errors as http_errors
from gunicorn.workers.gthread import ThreadWorker

from voxcpm_openai.web.access_log import API_VERSION
from voxcpm_openai.web.app_context import context_of
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


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """One process: one app, one engine, a pool of threads."""

    def handle_error(
        self,
        req: object,  # noqa: ARG002  # gunicorn's signature
        client: socket.socket,
        addr: object,  # noqa: ARG002
        exc: BaseException,
    ) -> None:
        """Answer errors of requests that never reached the app, in the same envelope."""
        request_id = f"req_{uuid.uuid4().hex}"
        status, message = _describe(exc)
        if status >= 500:
            logger.error("unexpected error id=%s", request_id, exc_info=exc)
        else:
            logger.info("id=%s status=%d refused: %s", request_id, status, message)
        type_ = "invalid_request_error" if status < 500 else "server_error"
        body = json.dumps(envelope(message, type_)).encode()
        head = (
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            "openai-processing-ms: 0\r\n"
            f"openai-version: {API_VERSION}\r\n"
            "Access-Control-Expose-Headers: x-request-id\r\n"
            "Connection: close\r\n\r\n"
        )
        try:
            client.sendall(head.encode("ascii") + body)
        except OSError:
            logger.debug("client left before its error id=%s", request_id)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain as soon as the worker is told to stop."""
        if isinstance(self.wsgi, Flask):
            context_of(self.wsgi).engine.drain()
        super().handle_exit(sig, frame)

    def stop_engine(self) -> None:
        """Stop the engine, after the last request."""
        if isinstance(self.wsgi, Flask):
            context_of(self.wsgi).engine.stop()


def _describe(exc: BaseException) -> tuple[int, str]:
    for kind, status in STATUSES.items():
        if isinstance(exc, kind):
            return status, f"{exc}."
    if isinstance(exc, http_errors.ParseException | ssl.SSLError):
        return 400, f"The request is not valid HTTP: {exc}."
    return 500, "The server failed to process the request. Its log has the trace by request id."
