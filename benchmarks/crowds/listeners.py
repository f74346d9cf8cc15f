"""Many listeners in one thread: sockets that are read as they fill, and when that was."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
PATIENCE = 60.0
"""Seconds after which a crowd that should have ended is given up."""


@dataclass(slots=True)
class Reply:
    """One request as it went: moments of the monotonic clock, in seconds.

    ``pieces``: when something of the body came, and how many bytes (the frames of the chunked
    coding count too: a hundredth at most).  ``fault``: None for a whole reply.
    """

    text: int
    asked: float
    pieces: list[tuple[float, int]] = field(default_factory=list)
    fault: str | None = None


class Listener:
    """Asks, reads to the end, and asks again."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], first: int) -> None:
        self.replies: list[Reply] = []
        self.socket: socket.socket | None = None
        self._address = address
        self._requests = requests
        self._next = first
        self._head = b""
        self._tail = b""

    def ask(self) -> socket.socket:
        """Send a request on a connection of its own."""
        text = self._next % len(self._requests)
        self._next += 1
        self.replies.append(Reply(text, time.monotonic()))
        self._head = self._tail = b""
        self.socket = socket.create_connection(self._address)
        self.socket.sendall(self._requests[text])
        self.socket.setblocking(False)
        return self.socket

    def read(self) -> bool:
        """Take what is there; return whether the reply goes on."""
        assert self.socket is not None
        reply = self.replies[-1]
        try:
            got = self.socket.recv(1 << 20)
        except OSError as error:
            reply.fault = type(error).__name__
            got = b""
        now = time.monotonic()
        if not got:
            self.socket.close()
            if self._tail != LAST_CHUNK:
                reply.fault = reply.fault or "truncated"
            return False
        self._tail = (self._tail + got[-len(LAST_CHUNK) :])[-len(LAST_CHUNK) :]
        if not reply.pieces:
            self._head += got
            head, _, got = self._head.partition(HEAD_END)
            if not head.startswith(b"HTTP/1.1 200"):
                reply.fault = head.split(b"\r\n")[0].decode(errors="replace")
        if got:
            reply.pieces.append((now, len(got)))
        return True


def request(host: str, text: str, audio_format: str, speed: float) -> bytes:
    """Return the bytes of a request for speech."""
    fields = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": audio_format}
    body = json.dumps({**fields, "speed": speed}).encode()
    return (
        f"POST /v1/audio/speech HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def attend(
    address: tuple[str, int],
    requests: Sequence[bytes],
    listeners: int,
    *,
    seconds: float,
    played: Sequence[float] | None,
) -> list[Reply]:
    """Let so many ask over and over for so many seconds; return all replies, the last ones whole.

    They come one by one in the first two seconds.  With ``played``, how long each reply plays, a
    listener asks again when it has heard the last one; otherwise when it has all of it.
    """
    crowd = [Listener(address, requests, first) for first in range(listeners)]
    begun = time.monotonic()
    asking = [(begun + 2.0 * number / listeners, listener) for number, listener in enumerate(crowd)]
    reading = 0
    with selectors.DefaultSelector() as selector:
        while asking or reading:
            now = time.monotonic()
            if now > begun + seconds + PATIENCE:
                break
            if now > begun + seconds:
                asking.clear()
            while asking and asking[0][0] <= now:
                listener = asking.pop(0)[1]
                selector.register(listener.ask(), selectors.EVENT_READ, listener)
                reading += 1
            wait = asking[0][0] - now if asking else 1.0
            for key, _ in selector.select(max(0.0, min(wait, 1.0))):
                if key.data.read():
                    continue
                selector.unregister(key.fileobj)
                reading -= 1
                asking.append((_again(key.data.replies[-1], played), key.data))
                asking.sort(key=lambda entry: entry[0])
    return [reply for listener in crowd for reply in listener.replies]


def _again(reply: Reply, played: Sequence[float] | None) -> float:
    if played is None or not reply.pieces:
        return time.monotonic()
    return max(time.monotonic(), reply.pieces[0][0] + played[reply.text])
