"""The headers of every response, and one line in the access log."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid

from flask import Flask, Response, current_app, g, request

from voxcpm_openai.accounts.account import Account
from voxcpm_openai.logs import FIELDS
from voxcpm_openai.metrics.speech_meter import CANCELLED, DONE, FAILED, REFUSED
from voxcpm_openai.web.app_context import context_of

logger = logging.getLogger("voxcpm_openai.requests")

API_VERSION = "2020-10-01"
"""What OpenAI's own servers send as ``openai-version``."""

PLAIN = re.compile(r"[\w.:/+-]{1,200}", re.ASCII)
"""Values that are logged as they are; others are quoted, so that no client can forge a line."""

SANE_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
"""Request ids that are accepted from a proxy; any other is replaced."""

TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""The header ``traceparent`` (W3C Trace Context); the group is the trace id."""

SECURITY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
"""Headers of every response."""
NO_PAGE = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
"""Headers of all responses but audio, which browsers may play in a page of their own.  The web page
and the API reference have policies of their own."""

MAX_VALUE = 4096
"""The most characters of a value in a log line."""


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


def caller_facts() -> dict[str, object]:
    """Return the id of the current request, that of its trace, and the name of its key."""
    facts = {"id": g.request_id}
    if traced := TRACE.fullmatch(request.headers.get("traceparent", "")):
        facts["trace_id"] = traced[1]
    account: Account | None = g.get("account")
    if account and account.key_name:
        facts["key"] = account.key_name
    return facts


def finish(response: Response) -> Response:
    """Set the headers of every response, and log it when it is closed."""
    response.headers["x-request-id"] = g.request_id
    response.headers["openai-processing-ms"] = str(elapsed_ms())
    response.headers["openai-version"] = API_VERSION
    response.headers.setdefault("Access-Control-Expose-Headers", "x-request-id")
    response.headers.extend(SECURITY)
    if response.mimetype and not response.mimetype.startswith("audio/"):
        for name, value in NO_PAGE.items():
            response.headers.setdefault(name, value)
    status, route = response.status_code, request.url_rule.rule if request.url_rule else ""
    probe = request.blueprint in {"health", "metrics"} and status == 200
    level = logging.DEBUG if probe else logging.INFO
    method = request.method
    line = {**caller_facts(), "method": method, "path": request.path, "route": route or "-"}
    context, begun, metrics = g.log_context, g.begun, context_of(current_app).metrics

    def write() -> None:
        total = round((time.monotonic() - begun) * 1000)
        metrics.answered(route, method, status)
        context.setdefault("outcome", _outcome(status))
        log_line(level, **line, status=status, ms=total, **context)

    response.call_on_close(write)
    return response


def log_line(level: int, **facts: object) -> None:
    """Write a line of the access log."""
    if logger.isEnabledFor(level):
        text = " ".join(f"{name}={shown(value)}" for name, value in facts.items())
        values = {name: _bounded(value) for name, value in facts.items()}
        logger.log(level, "%s", text, extra={FIELDS: values})


def shown(value: object) -> str:
    """Return a value as it is logged: in one line, and quoted unless it is plain."""
    text = str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text[:MAX_VALUE])


def _bounded(value: object) -> object:
    return value if isinstance(value, int | float) else str(value)[:MAX_VALUE]


def _outcome(status: int) -> str:
    """Return the outcome of a request other than speech."""
    if status < 400:
        return DONE
    if status == 499:
        return CANCELLED
    return FAILED if status >= 500 and status != 503 else REFUSED
