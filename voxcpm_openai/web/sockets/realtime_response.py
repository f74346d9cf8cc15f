"""A response of the Realtime API: the events of one text that is read aloud."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

from voxcpm_openai.errors import RequestError
from voxcpm_openai.session import (
    AudioMade,
    Interruption,
    SessionEnded,
    SessionEvent,
    SessionFailed,
    SpeechSession,
)
from voxcpm_openai.web.sockets.channel import pieces
from voxcpm_openai.web.sockets.realtime_items import message, new_id

Send = Callable[..., None]
"""Sends an event: its type, and its fields."""


class Response:
    """Sends the events of a session.  After its end, none are sent."""

    def __init__(
        self,
        session: SpeechSession,
        text: str,
        send: Send,
        shape: dict[str, Any],
        on_end: Callable[[Response], None],
    ) -> None:
        """``shape``: the fields of the response that do not change; ``on_end``: called once."""
        self.id = new_id("resp")
        self.item_id = new_id("item")
        self.session = session
        self.text = text
        self.ended = False
        self._send_event = send
        self._shape = shape
        self._on_end = on_end
        self._transcript = ""
        self._lock = threading.Lock()  # a client may cancel while audio is made

    def begin(self) -> None:
        """Send the events before the audio."""
        self._send_event("response.created", response=self._response("in_progress"))
        self._item_event("response.output_item.added", "in_progress", None)
        self._part_event("response.content_part.added", part={"type": "audio", "transcript": ""})

    def handle(self, event: SessionEvent) -> None:
        """Send what an event of the session means."""
        match event:
            case AudioMade():
                self._made(event)
            case SessionEnded():
                self._end("completed", self.text)
            case SessionFailed(error):
                self._end("failed", self._transcript, error=error)
            case _:
                pass

    def cancel(self) -> None:
        """End it at once."""
        self.session.cancel()
        self._end("cancelled", self._transcript)

    def interrupt(self, played_ms: int) -> Interruption:
        """End it; return what was heard of its text when so much was played."""
        found = self.session.interrupt(played_ms)
        self._end("cancelled", found.heard)
        return found

    def _made(self, event: AudioMade) -> None:
        with self._lock:
            if self.ended:
                return
            if text := event.alignment.characters:
                self._transcript += text
                self._part_event("response.output_audio_transcript.delta", delta=text)
            for part in pieces(event.data):
                delta = base64.b64encode(part).decode("ascii")
                self._part_event("response.output_audio.delta", delta=delta)

    def _end(self, status: str, transcript: str, error: RequestError | None = None) -> None:
        """Send the events after the audio."""
        with self._lock:
            if self.ended:
                return
            self.ended = True
        part = {"type": "audio", "transcript": transcript}
        item_status = "completed" if status == "completed" else "incomplete"
        self._part_event("response.output_audio.done")
        self._part_event("response.output_audio_transcript.done", transcript=transcript)
        self._part_event("response.content_part.done", part=part)
        self._item_event("response.output_item.done", item_status, transcript)
        self._on_end(self)
        response = self._response(status, error, message(self.item_id, item_status, transcript))
        self._send_event("response.done", response=response)

    def _part_event(self, type_: str, **fields: object) -> None:
        places = {"output_index": 0, "content_index": 0}
        self._send_event(type_, response_id=self.id, item_id=self.item_id, **places, **fields)

    def _item_event(self, type_: str, status: str, transcript: str | None) -> None:
        item = message(self.item_id, status, transcript)
        self._send_event(type_, response_id=self.id, output_index=0, item=item)

    def _response(
        self, status: str, error: RequestError | None = None, item: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": _details(status, error),
            "output": [item] if item else [],
            **self._shape,
            "usage": _usage(self.session) if item else None,
        }


def _details(status: str, error: RequestError | None) -> dict[str, Any] | None:
    if status == "cancelled":
        return {"type": status, "reason": "client_cancelled"}
    if error is not None:
        fields = {"type": error.type, "code": error.code, "message": error.message}
        return {"type": status, "error": fields}
    return None


def _usage(session: SpeechSession) -> dict[str, Any]:
    usage = session.usage
    return {
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_token_details": {"text_tokens": usage.input_tokens, "audio_tokens": 0},
        "output_token_details": {"text_tokens": 0, "audio_tokens": usage.output_tokens},
    }
