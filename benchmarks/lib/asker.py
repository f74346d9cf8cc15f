"""A client that asks for a short speech again and again, each time on a new connection."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from contextlib import closing, suppress

TIMEOUT = 2.0
"""Seconds without a byte after which the client gives up."""
SETTLE_SECONDS = 30.0
"""How long the server may work on what others have left."""
TEXT = "Hello."


def ask(port: int) -> float | None:
    """Return the seconds to the first byte, None for a failure."""
    body = json.dumps({"model": "tts-1", "input": TEXT, "response_format": "pcm"})
    head = {"Content-Type": "application/json", "Connection": "close"}
    begun = time.perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as connection:
        try:
            connection.request("POST", "/v1/audio/speech", body, head)
            reply = connection.getresponse()
            first = reply.read(1)
            came = time.perf_counter()
            reply.read()
        except (OSError, http.client.HTTPException):
            return None
        return came - begun if first and reply.status == http.client.OK else None


def ask_for(port: int, seconds: float) -> list[float | None]:
    """Ask again and again for some seconds."""
    end = time.monotonic() + seconds
    replies = [ask(port)]
    while time.monotonic() < end:
        replies.append(ask(port))
    return replies


def settle(url: str) -> None:
    """Wait until no request runs, within bounds."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{url}/ready", timeout=TIMEOUT) as reply:
            if json.load(reply)["streams"]["running"] == 0:
                return
        time.sleep(0.1)
