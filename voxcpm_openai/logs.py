"""Log formats: text, or a JSON object per line."""

from __future__ import annotations

import json
import logging
import time

FORMATS = ("text", "json")
TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
FIELDS = "fields"
"""The attribute of a log record with its structured fields; the message has them as text."""


class JsonFormatter(logging.Formatter):
    """Formats each record as one line, a JSON object in ASCII.

    ``time`` is in UTC, as in RFC 3339.  Structured fields replace the message.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
        }
        fields = getattr(record, FIELDS, None)
        line |= {"message": record.getMessage()} if fields is None else fields
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def logging_config(level: str, format_: str) -> dict[str, object]:
    """Return the configuration of ``logging`` for a server; ``format_``: one of ``FORMATS``."""
    formatters: dict[str, dict[str, object]] = {
        "text": {"format": TEXT},
        "json": {"()": "voxcpm_openai.logs.JsonFormatter"},
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": format_}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"propagate": True, "handlers": []},
            "gunicorn.access": {"propagate": False, "handlers": []},
            "websockets": {"level": "WARNING"},  # it has a line for each connection that ends
        },
    }
