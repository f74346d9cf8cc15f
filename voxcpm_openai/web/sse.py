"""Speech as server-sent events, byte by byte as OpenAI's SDKs and LiveKit parse them.

There are no ``event:`` lines; each event is one ``data: `` line and a blank line.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
from collections.abc import Iterator

from voxcpm_openai.contracts import Usage
from voxcpm_openai.errors import ClientLeft, RequestError
from voxcpm_openai.speech import Speech
from voxcpm_openai.web.errors import envelope

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream; charset=utf-8"


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


def usage_json(usage: Usage) -> dict[str, int]:
    """Return a usage as OpenAI's API has it."""
    total = usage.input_tokens + usage.output_tokens
    return {**dataclasses.asdict(usage), "total_tokens": total}


def _event(data: object) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _error_event(error: Exception) -> object:
    if isinstance(error, RequestError):
        return envelope(error.message, error.type, error.param, error.code)
    return envelope("The server failed during synthesis.", "server_error")
