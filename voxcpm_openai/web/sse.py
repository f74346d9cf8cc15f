"""Speech as server-sent events, byte by byte as OpenAI's SDKs and LiveKit parse them.

There are no ``event:`` lines; each event is one ``data: `` line and a blank line.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from typing import TypedDict

from voxcpm_openai.contracts import Usage
from voxcpm_openai.errors import ClientLeft, RequestError
from voxcpm_openai.speech import Speech
from voxcpm_openai.web.errors import envelope

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
CONTENT_TYPE = f"{MEDIA_TYPE}; charset=utf-8"


class UsageObject(TypedDict):
    """What a speech has cost, in tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


def events(speech: Speech) -> Iterator[bytes]:
    """Yield the events of a speech.

    A failure before the first event is raised, so that it keeps its status.  A later one becomes
    an error event, and the stream ends without ``[DONE]``.
    """
    begun = False
    try:
        for chunk in speech:
            audio = base64.b64encode(chunk).decode("ascii")
            yield _event({"type": "speech.audio.delta", "audio": audio})
            begun = True
        usage = speech.usage
    except Exception as error:  # the status has been sent: the stream must carry the error
        if not begun or isinstance(error, ClientLeft):
            raise
        logger.exception("speech failed after its first event")
        yield _event(_error_event(error))
        return
    yield _event({"type": "speech.audio.done", "usage": usage_json(usage)})
    yield b"data: [DONE]\n\n"


def usage_json(usage: Usage) -> UsageObject:
    """Return a usage as OpenAI's API has it."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _event(data: object) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _error_event(error: Exception) -> object:
    if isinstance(error, RequestError):
        return envelope(error.message, error.type, error.param, error.code)
    return envelope("The server failed during synthesis.", "server_error")
