"""Clients that hold up a server: a process of its own, so that they do not hold up the others."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.sharedctypes import Synchronized

from benchmarks.lib.raw import Link, request, speech

PAUSE = 1.0
"""Seconds until a client connects again after its connection has ended."""
CONNECTS = 200
"""How many clients a second connect for the first time."""
BYTE_SECONDS = 0.05
"""Seconds between two bytes of a client that sends byte by byte."""
MB = 1024 * 1024
UPLOAD_BLOCK = 256 * 1024
UPLOAD_SECONDS = 2.0
"""The least seconds from one upload of a client to its next."""
CONNECT_SECONDS = 10.0
"""How long the clients may take to connect."""

Act = Callable[[Link, int], Awaitable[None]]
"""What a client does on a connection.  The number is that of the client."""


@dataclass(frozen=True, slots=True)
class Attack:
    name: str
    clients: int
    act: Act
    receive_buffer: int | None = None
    settles: bool = False
    """Whether it begins with requests that the server may well work for."""


async def hold(link: Link, _: int, data: bytes) -> None:
    """Send something, and wait for the server to close."""
    await link.send(data)
    await link.rest()


async def drip(link: Link, _: int) -> None:
    """Send a request byte by byte, and take the reply."""
    for byte in request("GET", "/v1/models"):
        await link.send(bytes([byte]))
        await asyncio.sleep(BYTE_SECONDS)
    await link.rest()


async def sip(link: Link, _: int, characters: int) -> None:
    """Ask for a long speech, and read a byte a second."""
    await link.send(speech("A sentence of many words. " * (characters // 26)))
    while await link.receive(1):
        await asyncio.sleep(1.0)


async def upload(link: Link, number: int, size: int) -> None:
    """Send a large body to a route that refuses it, and take the answer."""
    began = time.monotonic()
    path, type_ = (
        ("/v1/audio/speech", "application/json"),
        ("/v1/nothing", "application/json"),
        ("/v1/audio/voices", "text/plain"),
    )[number % 3]
    await link.send(request("POST", path, length=size, type_=type_))
    block = b"x" * UPLOAD_BLOCK
    for sent in range(0, size, UPLOAD_BLOCK):
        await link.send(block[: size - sent])
        due = began + UPLOAD_SECONDS * sent / size
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await link.rest()


HEAD = request("POST", "/v1/audio/speech", length=100)
CHUNKED = HEAD.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked")
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)

HALVES = {
    "nothing": b"",
    "half a line": b"POST /v1/aud",
    "half a head": HEAD[:-2],
    "half a body": HEAD + b'{"model":',
    "half a chunk": CHUNKED + b"5\r\nhal",
}

FULL = (
    *(Attack(name, 200, partial(hold, data=data)) for name, data in HALVES.items()),
    Attack("TLS hello", 200, partial(hold, data=HELLO)),
    Attack("idle", 400, partial(hold, data=request("GET", "/v1/models", close=False))),
    Attack("slow readers", 64, partial(sip, characters=2000), receive_buffer=4096, settles=True),
    Attack("uploads", 8, partial(upload, size=30 * MB)),
    Attack("byte by byte", 200, drip),
)

QUICK = tuple(
    replace(
        attack,
        clients=max(2, attack.clients // 20),
        act={
            "slow readers": partial(sip, characters=260),
            "uploads": partial(upload, size=MB),
        }.get(attack.name, attack.act),
    )
    for attack in FULL
)
"""The same, small enough for a test."""


@contextmanager
def attacked(attack: Attack, port: int) -> Iterator[Synchronized[int]]:
    """Attack a port of the loopback; yield when all clients were connected.

    The value is how many connections they have opened so far.
    """
    context = multiprocessing.get_context("spawn")
    opened: Synchronized[int] = context.Value("l", 0)
    process = context.Process(target=_attack, args=(attack, port, opened), daemon=True)
    process.start()
    try:
        deadline = time.monotonic() + CONNECT_SECONDS
        while opened.value < attack.clients and time.monotonic() < deadline:
            time.sleep(0.01)
        yield opened
    finally:
        process.kill()
        process.join()


def _attack(attack: Attack, port: int, opened: Synchronized[int]) -> None:
    # Attackers have machines of their own: here they must not take the processor of the others.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(5)
    asyncio.run(_all(attack, port, opened))


async def _all(attack: Attack, port: int, opened: Synchronized[int]) -> None:
    async def client(number: int) -> None:
        await asyncio.sleep(number / CONNECTS)
        while True:
            link = Link(attack.receive_buffer)
            try:
                await link.connect(port)
                opened.value += 1
                await attack.act(link, number)
            except OSError:
                pass
            finally:
                link.close()
            await asyncio.sleep(PAUSE)

    await asyncio.gather(*map(client, range(attack.clients)))
