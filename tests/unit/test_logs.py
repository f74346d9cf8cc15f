"""JSON logs: one object per line for any message."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from typing import Any

import pytest

from voxcpm_openai.logs import FIELDS, FORMATS, JsonFormatter, logging_config


def line(message: str, *args: object, **more: object) -> dict[str, object]:
    record = logging.LogRecord("a.b", logging.WARNING, "file.py", 1, message, args, None)
    vars(record).update(more)
    text = JsonFormatter().format(record)
    assert text.isascii()
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


@pytest.mark.parametrize("message", ["plain", 'a "quote"\nand a line', "\ud800 \x00 日本"])
def test_any_message_is_one_line(message: str) -> None:
    found = line("%s", message)
    assert (found["message"], found["level"], found["logger"]) == (message, "warning", "a.b")
    assert str(found["time"]).endswith("Z")


def test_structured_fields_keep_their_types() -> None:
    found = line("id=x status=200", **{FIELDS: {"id": "x", "status": 200, "audio_s": 0.5}})
    assert "message" not in found
    assert (found["id"], found["status"], found["audio_s"]) == ("x", 200, 0.5)


def test_a_traceback_is_in_the_line_of_its_error() -> None:
    try:
        int("no number")
    except ValueError:
        found = line("failed", exc_info=sys.exc_info())
    assert "ValueError: invalid literal" in str(found["trace"])


@pytest.mark.parametrize("format_", FORMATS)
def test_the_handler_has_the_formatter_of_the_configured_format(format_: str) -> None:
    config: Any = logging_config("info", format_)
    assert set(FORMATS) == set(config["formatters"])
    made = logging.config.DictConfigurator(config)
    formatter = config["formatters"][config["handlers"]["stderr"]["formatter"]]
    assert isinstance(made.configure_formatter(formatter), JsonFormatter) == (format_ == "json")
