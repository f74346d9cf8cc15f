"""A channel: the messages of one WebSocket (RFC 6455), over a stream of bytes."""

from __future__ import annotations

import json
import threading
import time
import typing
from collections.abc import Callable, Iterator

from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, State

from voxcpm_openai.errors import ClientLeft

PING_SECONDS = 20.0
"""Seconds of silence after which a client is pinged; as many again, and it has gone."""
LEAVE_LOOK = 0.1
"""Seconds from one look to the next at whether a socket of a leaving server has work."""
MAX_AUDIO = 256 * 1024
"""Bytes of audio in one message, before they become base64; even, as 16-bit samples are."""
MAX_REASON = 123
"""Bytes of the reason for closing: a control frame holds no more."""

BUSY = CloseCode.TRY_AGAIN_LATER
"""1013: at capacity; the reason says when to try again."""
REFUSED = CloseCode.POLICY_VIOLATION
"""1008: no valid key, or a request that cannot be fulfilled."""


class ByteStream(typing.Protocol):
    """The bytes of a connection that was upgraded."""

    @property
    def leaving(self) -> bool:
        """Whether the server wants the connection to end soon."""

    def read(self, timeout: float) -> bytes | None:
        """Wait for bytes: empty once the client has left, None after ``timeout`` seconds."""

    def write(self, data: bytes) -> None:
        """Send, without waiting for the client.  Raises OSError if it has left."""


def pieces(audio: bytes) -> list[bytes]:
    """Return audio in pieces, none if there is none: many clients take no message above 1 MiB."""
    return [audio[start : start + MAX_AUDIO] for start in range(0, len(audio), MAX_AUDIO)]


class Channel:
    """Messages in, for the thread that iterates; messages out, from any thread."""

    def __init__(self, protocol: Protocol, stream: ByteStream, idle: float) -> None:
        """``protocol``: open.  ``idle``: the seconds without a message after which it is closed."""
        self.idle = idle
        self._protocol = protocol
        self._stream = stream
        self._lock = threading.Lock()
        self._parts: list[bytes] = []  # of a message that comes in several frames
        self._text = True  # whether that message is text
        self._heard = self._active = time.monotonic()
        self._pinged = False

    def messages(self, busy: Callable[[], bool]) -> Iterator[str | bytes]:
        """Yield the messages of the client, until either side closes.

        ``busy``: whether there is work for it; meanwhile it is not idle, and a server that leaves
        waits.
        """
        while self._protocol.state is State.OPEN:
            data = self._stream.read(self._patience())
            if data is not None:
                yield from self._taken(data)
            if busy():
                self._active = time.monotonic()
            elif self._stream.leaving:
                self.close(CloseCode.GOING_AWAY, "The server is stopping.")
            self._keep_alive()

    def send(self, message: str | bytes) -> None:
        """Send a message.  Raises ClientLeft."""
        with self._lock:
            try:
                if isinstance(message, str):
                    self._protocol.send_text(message.encode("utf-8", "replace"))
                else:
                    self._protocol.send_binary(message)
            except InvalidState as error:
                raise ClientLeft from error
            self._flush()

    def send_json(self, value: object) -> None:
        """Send a JSON value as text.  Raises ClientLeft."""
        self.send(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close; nothing is received from now on.  A second call does nothing."""
        short = reason.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")
        with self._lock:
            if self._protocol.state is State.OPEN:
                self._protocol.fail(code, short)
                self._flush(quietly=True)

    @property
    def code(self) -> int:
        """The code with which it was closed: 1006 if the client just left."""
        sent = self._protocol.close_sent  # also in answer to the client's
        return sent.code if sent else CloseCode.ABNORMAL_CLOSURE

    def _taken(self, data: bytes) -> Iterator[str | bytes]:
        """Take bytes; yield the messages that are whole.  None are left once it is closed."""
        with self._lock:
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            frames = self._protocol.events_received()
            self._flush(quietly=True)
        self._heard, self._pinged = time.monotonic(), False
        for frame in frames:
            assert isinstance(frame, Frame)
            if self._protocol.state is not State.OPEN:
                return
            if (message := self._message(frame)) is not None:
                self._active = self._heard
                yield message

    def _message(self, frame: Frame) -> str | bytes | None:
        """Return the message that a frame completes."""
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return None
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        message = b"".join(self._parts)
        self._parts = []
        if not self._text:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError:
            self.close(CloseCode.INVALID_DATA, "A text message is not UTF-8.")
            return None

    def _patience(self) -> float:
        """Return the seconds until something has to be done."""
        now = time.monotonic()
        ping = self._heard + PING_SECONDS * (1 + self._pinged) - now
        idle = self._active + self.idle - now
        return max(0.0, min(ping, idle, LEAVE_LOOK if self._stream.leaving else ping))

    def _keep_alive(self) -> None:
        """Ping a silent client; close if it does not answer, or has nothing to say."""
        now = time.monotonic()
        if now >= self._active + self.idle:
            self.close(CloseCode.NORMAL_CLOSURE, f"Nothing was sent for {self.idle:g} seconds.")
        elif now >= self._heard + 2 * PING_SECONDS:
            self.close(CloseCode.INTERNAL_ERROR, "The client does not answer pings.")
        elif now >= self._heard + PING_SECONDS and not self._pinged:
            self._pinged = True
            with self._lock:
                if self._protocol.state is State.OPEN:
                    self._protocol.send_ping(b"")
                    self._flush(quietly=True)

    def _flush(self, *, quietly: bool = False) -> None:
        """Write what the protocol has to send.  Raises ClientLeft, or ends it ``quietly``."""
        try:
            for data in self._protocol.data_to_send():
                if data:  # else the end, which the server sends
                    self._stream.write(data)
        except OSError as error:
            self._protocol.receive_eof()
            if not quietly:
                raise ClientLeft from error
