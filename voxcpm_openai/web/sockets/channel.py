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
"""Seconds of silence after which a client is pinged: less than proxies wait for a byte."""
GONE_SECONDS = 120.0
"""Seconds of silence after which a client has gone, although it was pinged, and takes its time
over what it was sent: it reads a ping only after all audio before it."""
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

    @property
    def unsent(self) -> int:
        """The number of bytes that the client has not taken."""

    def read(self, timeout: float) -> bytes | None:
        """Wait for bytes: empty once the client has left, None after ``timeout`` seconds.

        Also None, once, after ``wake``, and when the server begins to leave.
        """

    def wake(self) -> None:
        """Let the thread that reads return.  Any thread may."""

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Send, without waiting for the client.  Raises OSError if it has left.

        ``urgent``: before the data of earlier calls of which nothing was sent.
        """


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
        self._closed = False  # by this side
        self._message = bytearray()  # one that comes in several frames, as far as it is here
        self._text = True  # whether that message is text
        self._heard = self._active = self._pinged = time.monotonic()

    def messages(self, busy: Callable[[], bool]) -> Iterator[str | bytes]:
        """Yield the messages of the client, until either side closes.

        ``busy``: whether there is work for it; meanwhile it is not idle, and a server that leaves
        waits.
        """
        while self._protocol.state is State.OPEN:
            data = self._stream.read(self._patience())
            if data is not None:
                yield from self._taken(data)
            works, takes = busy(), self._stream.unsent > 0
            if takes:  # an answer to a ping would come after all of that
                self._heard = time.monotonic()
            if works or takes:
                self._active = time.monotonic()
            if self._stream.leaving and not works:
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
        """Close; nothing is received from now on.  A second call does nothing.  Any thread may."""
        short = reason.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")
        with self._lock:
            self._closed = True
            if self._protocol.state is State.OPEN:
                self._protocol.fail(code, short)
                self._flush(quietly=True)
        self._stream.wake()

    @property
    def code(self) -> int:
        """The code with which it was closed: 1006 if the client just left."""
        sent = self._protocol.close_sent  # also in answer to the client's
        return sent.code if sent else CloseCode.ABNORMAL_CLOSURE

    def _taken(self, data: bytes) -> Iterator[str | bytes]:
        """Take bytes; yield the messages that are whole, also those before the client's close.

        None are left once this side has closed.
        """
        with self._lock:
            if self._protocol.state is not State.OPEN:  # meanwhile, in another thread
                return
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            frames = self._protocol.events_received()
            # A client that reads as fast as it plays would wait for a pong until after the audio.
            self._flush(quietly=True, urgent=True)
        self._heard = time.monotonic()
        for frame in frames:
            assert isinstance(frame, Frame)
            if self._closed:
                return
            if (message := self._completed(frame)) is not None:
                self._active = self._heard
                yield message

    def _completed(self, frame: Frame) -> str | bytes | None:
        """Return the message that a frame completes."""
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return None
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self._message += frame.data  # not a list: frames may be empty, and there is no end of them
        if not frame.fin:
            return None
        message, self._message = bytes(self._message), bytearray()
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
        ping = max(self._heard, self._pinged) + PING_SECONDS - now
        idle = self._active + self.idle - now
        return max(0.0, min(ping, idle, LEAVE_LOOK if self._stream.leaving else ping))

    def _keep_alive(self) -> None:
        """Ping a silent client; close if it does not answer, or has nothing to say."""
        now = time.monotonic()
        if now >= self._active + self.idle:
            self.close(CloseCode.NORMAL_CLOSURE, f"Nothing was sent for {self.idle:g} seconds.")
        elif now >= self._heard + GONE_SECONDS:
            self.close(CloseCode.INTERNAL_ERROR, "The client does not answer pings.")
        elif now >= max(self._heard, self._pinged) + PING_SECONDS:
            self._pinged = now
            with self._lock:
                if self._protocol.state is State.OPEN:
                    self._protocol.send_ping(b"")
                    self._flush(quietly=True)

    def _flush(self, *, quietly: bool = False, urgent: bool = False) -> None:
        """Write what the protocol has to send.  Raises ClientLeft, or ends it ``quietly``.

        ``urgent``: before messages that wait; each is a frame, and what is between frames is free.
        """
        try:
            for data in self._protocol.data_to_send():
                if data:  # else the end, which the server sends
                    self._stream.write(data, urgent=urgent)
        except OSError as error:
            self._protocol.receive_eof()
            if not quietly:
                raise ClientLeft from error
