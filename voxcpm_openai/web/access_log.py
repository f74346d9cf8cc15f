"""The headers of every response, and one line in the access log."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid

from flask import Flask, Response, g, request

logger = logging.getLogger("voxcpm_openai.requests")

API_VERSION = "2020-10-01"
"""What OpenAI's own servers send as ``openai-version``."""

PLAIN = re.compile(r"[\w.:/+-]{1,200}", re.ASCII)
"""Values that are logged as they are; others are quoted, so that no client can forge a line."""

SANE_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
"""Request ids that are accepted from a proxy; any other is replaced."""


def init_app(app: Flask) -> None:
    """Time each request, give it an id, and log it when its last byte is sent."""
    app.before_request(begin)
    app.after_request(finish)


def begin() -> None:
    """Record the start time and the id."""
    g.begun = time.monotonic()
    sent = request.headers.get("X-Request-Id", "")
    g.request_id = sent if SANE_ID.fullmatch(sent) else f"req_{uuid.uuid4().hex}"
    g.log_context = {}


def log_context(**values: object) -> None:
    """Add values to the log line of the current request.  Never the text that is spoken."""
    g.log_context.update(values)


def elapsed_ms() -> int:
    """Return the milliseconds since the current request began."""
    begun: float = g.begun
    return round((time.monotonic() - begun) * 1000)


def finish(response: Response) -> Response:
    """Set the headers of every response, and log it when it is closed."""
    response.headers["x-request-id"] = g.request_id
    response.headers["openai-processing-ms"] = str(elapsed_ms())
    response.headers["openai-version"] = API_VERSION
    response.headers.setdefault("Access-Control-Expose-Headers", "x-request-id")
    probe = request.blueprint == "health" and response.status_code == 200
    level = logging.DEBUG if probe else logging.INFO
    line = {"id": g.request_id, "method": request.method, "path": request.path}
    context, begun = g.log_context, g.begun

    def write() -> None:
        total = round((time.monotonic() - begun) * 1000)
        log_line(level, **line, status=response.status_code, ms=total, **context)

    response.call_on_close(write)
    return response


def log_line(level: int, **facts: object) -> None:
    """Write a line of the access log."""
    logger.log(level, " ".join(f"{name}={shown(value)}" for name, value in facts.items()))


def shown(value: object) -> str:
    """Return a value as it is logged: in one line, and quoted unless it is plain."""
    text = str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text[:200])
