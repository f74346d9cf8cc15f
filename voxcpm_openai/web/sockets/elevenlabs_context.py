"""A context of ElevenLabs' WebSockets: one text, and the messages with its audio."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable

from voxcpm_openai.errors import NothingToSay, RequestError
from voxcpm_openai.session import (
    AudioMade,
    SessionEnded,
    SessionEvent,
    SessionFailed,
    SpeechSession,
)
from voxcpm_openai.web.alignment import space_after
from voxcpm_openai.web.sockets.channel import Channel, pieces
from voxcpm_openai.web.sockets.conversation import PATIENCE

_PHRASE = re.compile(r"""[^\W\d_].*[.!?…,;:。！？，；：]["'”’»)\]]*\s*$""", re.DOTALL)
"""A text that ends like a sentence or a clause, and has a letter: "3." may be half a number."""


class Context:
    """Appends the texts of a client to a session, and sends what comes out of it."""

    def __init__(
        self,
        id_: str | None,
        session: SpeechSession,
        channel: Channel,
        on_end: Callable[[Context, RequestError | None], None],
        *,
        auto: bool,
        absolute: bool,
    ) -> None:
        """``id_``: None if the socket has no other.  ``on_end``: called in the session's thread.

        ``auto``: each phrase is said at once.  ``absolute``: the times of characters count from
        the start of the context, not from that of the message.
        """
        self.id = id_
        self.session = session
        self.closing = False
        self.used = time.monotonic()
        """When the client last sent something for it."""
        self._channel = channel
        self._on_end = on_end
        self._auto = auto
        self._absolute = absolute
        self._begun = False
        self._told = 0, " "  # the passage of the last character that was told, and the character
        self._ended = False
        self._lock = threading.Lock()

    def append(self, text: str, *, flush: bool) -> None:
        """Add a text, which may be empty.  Raises RequestError."""
        self.used = time.monotonic()
        if self._begun or not text.isspace():  # the first message has a space for its text
            self._begun = self._begun or bool(text)
            self.session.append(text, timeout=PATIENCE)
        if flush or (self._auto and _PHRASE.search(text)):
            self.session.flush()

    def close(self) -> None:
        """End the text; the second time, stop: the listener has interrupted."""
        if self.closing:
            self.session.cancel()
            self._end(None)
        else:
            self.closing = True
            self.session.finish()

    def handle(self, event: SessionEvent) -> None:
        """Send what an event of the session means."""
        match event:
            case AudioMade():
                self._made(event)
            case SessionEnded() | SessionFailed(NothingToSay()):
                self._end(None)
            case SessionFailed(error):
                self._end(error)
            case _:
                pass

    def fail(self, error: RequestError) -> None:
        """End it with an error."""
        self.session.cancel()
        self._end(error)

    def _made(self, event: AudioMade) -> None:
        with self._lock:
            if self._ended:
                return
            times = self._times(event)
            for part in pieces(event.data) or [b""] * bool(times):
                audio = base64.b64encode(part).decode("ascii")
                message = {"audio": audio, "isFinal": None}
                aligned = {"alignment": times, "normalizedAlignment": times}
                self._channel.send_json({**message, **aligned, **self.named()})
                times = None

    def _times(self, event: AudioMade) -> dict[str, object] | None:
        """Return the alignment of new audio, or None if there is nothing to tell.

        Clients that add up durations need one of audio without characters: it has an empty one.
        The others would count it as a character.
        """
        found = event.alignment
        told = list(zip(found.characters, found.starts_ms, found.durations_ms, strict=True))
        if told and (space := self._space_before(event.passage, found.characters)):
            told.insert(0, (space, 0, 0))
        if not told and event.duration_ms and not self._absolute:
            told = [("", 0, event.duration_ms)]
        if not told:
            return None
        offset = event.start_ms if self._absolute else 0
        return {
            "chars": [character for character, _, _ in told],
            "charStartTimesMs": [start + offset for _, start, _ in told],
            "charDurationsMs": [duration for _, _, duration in told],
        }

    def _space_before(self, passage: int, characters: str) -> str:
        """Return what is missing between these characters and those before: a space, or nothing.

        Clients cut words at spaces, and some send one sentence after another without any.
        """
        before, last = self._told
        self._told = passage, characters[-1]
        if passage == before or last.isspace() or characters[0].isspace():
            return ""
        return space_after(last)

    def _end(self, error: RequestError | None) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
        self._on_end(self, error)

    def named(self) -> dict[str, object]:
        """Return what names it in a message."""
        return {} if self.id is None else {"contextId": self.id}
