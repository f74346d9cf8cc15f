"""Errors after the first server-sent event: what the client receives, and what is logged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from voxcpm_openai.contracts import Usage
from voxcpm_openai.errors import ClientLeft, Overloaded
from voxcpm_openai.web import sse


class Failing:
    """A speech of ``chunks`` chunks that ends with an error, if one is given."""

    usage = Usage(3, 4)

    def __init__(self, chunks: int, error: Exception | None) -> None:
        self._chunks, self._error = chunks, error

    def __iter__(self) -> Iterator[bytes]:
        yield from [b"sound"] * self._chunks
        if self._error is not None:
            raise self._error


def events(chunks: int, error: Exception | None) -> list[Any]:
    """Return the data of the events."""
    speech: Any = Failing(chunks, error)
    lines = b"".join(sse.events(speech)).decode().split("\n\n")
    assert lines.pop() == ""
    return [
        "[DONE]" if line == "data: [DONE]" else json.loads(line.removeprefix("data: "))
        for line in lines
    ]


def test_the_last_events_are_the_usage_and_the_end() -> None:
    first, done, end = events(1, None)
    assert first == {"type": "speech.audio.delta", "audio": "c291bmQ="}
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert done == {"type": "speech.audio.done", "usage": usage}
    assert end == "[DONE]"


def test_a_late_refusal_has_the_same_error_object_as_an_early_one() -> None:
    _, last = events(1, Overloaded("No memory is left.", retry_after=5))
    error = last["error"]
    assert (error["message"], error["code"]) == ("No memory is left.", "overloaded")
    assert error["type"] == "server_error"


def test_a_late_internal_error_is_logged_and_its_message_is_not_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        _, last = events(1, RuntimeError("a secret"))
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert "secret" not in json.dumps(last)
    assert "a secret" in caplog.text


@pytest.mark.parametrize("chunks", [0, 1])
def test_nothing_is_sent_or_logged_after_a_disconnect(
    chunks: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ClientLeft):
        events(chunks, ClientLeft())
    assert not caplog.records


def test_a_failure_before_the_first_event_is_raised() -> None:
    with pytest.raises(RuntimeError):
        events(0, RuntimeError("early"))
