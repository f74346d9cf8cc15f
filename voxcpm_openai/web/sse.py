"""Speech as server-sent events, in the exact bytes that OpenAI's SDKs and LiveKit read.

No ``event:`` lines; each event is one ``data: `` line and a blank line.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator

from voxcpm_openai.errors import ClientLeft, RequestError
from voxcpm_openai.speech import Speech
from voxcpm_openai.web.errors import envelope

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream; charset=utf-8"


def events(speech: Speech) -> Iterator[bytes]:
    """Yield the events of a speech.

    A failure before the first event is raised, so that it keeps its status; one after it becomes
    an error event, and the stream ends without ``[DONE]``.
    """
    begun = False
    try:
        for piece in speech:
            audio = base64.b64encode(piece).decode("ascii")
            yield _event({"type": "speech.audio.delta", "audio": audio})
            begun = True
    except Exception as error:  # the status line is gone: the stream itself must tell
        if not begun or isinstance(error, ClientLeft):
            raise
        logger.exception("speech failed after its first event")
        yield _event(_late(error))
        return
    spent = speech.usage
    usage = {
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "total_tokens": spent.input_tokens + spent.output_tokens,
    }
    yield _event({"type": "speech.audio.done", "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(data: object) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _late(error: Exception) -> object:
    if isinstance(error, RequestError):
        return envelope(error.message, error.type, error.param, error.code)
    return envelope("The server failed while it spoke.", "server_error")
