"""The HTTP client of the load test: it records when each piece of a reply arrives.

A recording is parsed after the run, so that the client takes as little of the processor as it can.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import itertools
import json
import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

TIMEOUT = 300.0
"""Seconds without a byte after which a request is given up."""
READ_BYTES = 1 << 16
"""The most bytes of a single read."""


@dataclass(frozen=True, slots=True)
class HTTPReply:
    """A parsed reply.

    ``chunks``: when pieces of the body arrived, in seconds since the start of the request, and
    which.  ``fault``: None for a complete reply with status 200; otherwise the status,
    ``truncated`` or ``no answer``, with what the server says of it in ``detail``.
    """

    fault: str | None
    detail: str
    chunks: list[tuple[float, bytes]]


async def post(url: SplitResult, fields: Mapping[str, object], api_key: str | None) -> Recording:
    """Send fields as JSON on a connection of its own, and record what comes back."""
    secure = url.scheme == "https"
    recording = Recording()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(TIMEOUT):
            transport, _ = await loop.create_connection(
                lambda: recording,
                str(url.hostname),
                url.port or (443 if secure else 80),
                ssl=secure or None,
            )
        try:
            transport.write(_request(url, fields, api_key))
            await recording.wait_closed()
        finally:
            transport.abort()
    except OSError as error:  # of the connection, TLS, or the timeout
        recording.detail = str(error)
    return recording


def _request(url: SplitResult, fields: Mapping[str, object], api_key: str | None) -> bytes:
    body = json.dumps(fields).encode()
    head = [
        f"POST {url.path} HTTP/1.1",
        f"Host: {url.netloc.rpartition('@')[2]}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {api_key}"] if api_key else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


class Recording(asyncio.BufferedProtocol):
    """The bytes of a reply, and when they arrived, in seconds since the start of the request."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, bytes]] = []
        self.detail = ""
        self._closed = asyncio.Event()
        self._buffer = bytearray(READ_BYTES)
        self._begun = time.perf_counter()

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        """Return where to read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Record bytes."""
        data = bytes(memoryview(self._buffer)[:nbytes])
        self.arrivals.append((time.perf_counter() - self._begun, data))

    def connection_lost(self, error: Exception | None) -> None:
        """End the recording."""
        self.detail = str(error or "")
        self._buffer = bytearray()
        self._closed.set()

    async def wait_closed(self) -> None:
        """Wait for the end.  Raise TimeoutError if nothing arrives for ``TIMEOUT`` seconds."""
        while not self._closed.is_set():
            before = len(self.arrivals)
            try:
                await asyncio.wait_for(self._closed.wait(), TIMEOUT)
            except TimeoutError:
                if len(self.arrivals) == before:
                    raise

    def seconds_to_play(self, audio: float) -> float:
        """Return how much of ``audio`` seconds is left of a playback from the first byte on."""
        first = self.arrivals[0][0] if self.arrivals else 0.0
        return max(0.0, self._begun + first + audio - time.perf_counter())


def parse(arrivals: Sequence[tuple[float, bytes]], detail: str = "") -> HTTPReply:
    """Return the reply that arrived.  ``detail``: what is known of a fault already."""
    ends = list(itertools.accumulate(len(data) for _, data in arrivals))
    received = _Received(b"".join(data for _, data in arrivals))
    stand_in: Any = received
    response = http.client.HTTPResponse(stand_in, method="POST")
    fault: str | None = "no answer"
    chunks: list[tuple[float, bytes]] = []
    try:
        response.begin()
        fault, length = "truncated", response.length
        while True:
            at = received.tell()
            following = bisect_right(ends, at)
            chunk = response.read1(ends[following] - at if following < len(ends) else 1)
            if not chunk:
                break
            chunks.append((arrivals[bisect_left(ends, received.tell())][0], chunk))
        if response.status != http.client.OK:
            fault, detail = str(response.status), _message(chunks)
        elif length in (None, sum(len(chunk) for _, chunk in chunks)):
            fault = None
    except http.client.HTTPException as error:  # also where the last chunk is missing
        detail = detail or str(error)
    return HTTPReply(fault, detail, chunks)


class _Received(io.BytesIO):
    """The bytes of a reply, in the place of the socket that ``http.client`` reads."""

    def makefile(self, *_: object) -> _Received:
        return self

    def close(self) -> None:
        """Stay open: ``parse`` asks for the position after the last read."""


def _message(chunks: list[tuple[float, bytes]]) -> str:
    """Return the message of OpenAI's error envelope, or the first line of the body."""
    text = b"".join(chunk for _, chunk in chunks).decode(errors="replace")
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip().partition("\n")[0][:200]
