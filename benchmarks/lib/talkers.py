"""Voice agents: WebSockets on which text comes word by word; a process of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

PATH = "/v1/text-to-speech/alloy/multi-stream-input?output_format=pcm_24000"
RATE = 24_000
WORDS_PER_SECOND = 10.0
"""How fast a language model writes."""
TURNS = 3
"""Turns on one connection."""
CONNECTS = 50
"""How many agents a second connect for the first time."""
TEXTS = (
    "Good morning, it is nice to hear from you again. How can I help you today?",
    "Your order was sent this morning, so it should be with you tomorrow. Is there anything else?",
    "I am sorry, the train to the city is ten minutes late. It leaves from the other side.",
)


@dataclass(slots=True)
class Talk:
    """What the agents have seen.  ``first``: seconds from the word that completes the first clause
    to the first audio.  ``underruns``: turns in which playback had to wait.
    """

    first: list[float] = field(default_factory=list)
    turns: int = 0
    underruns: int = 0
    hang_ups: int = 0
    failures: int = 0
    audio: float = 0.0


@contextmanager
def talking(port: int, agents: int, hang_ups: float) -> Iterator[list[Talk]]:
    """Let agents talk to a server; the list has what they saw once the block has ended.

    ``hang_ups``: the share of turns in which the agent leaves at a random moment.
    """
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.SimpleQueue()
    process = context.Process(target=_talk, args=(port, agents, hang_ups, stop, results))
    process.start()
    seen: list[Talk] = []
    try:
        time.sleep(agents / CONNECTS + 1.0)
        yield seen
    finally:
        stop.set()
        seen.append(results.get())
        process.join()


def _talk(port: int, agents: int, hang_ups: float, stop: Event, results: Any) -> None:
    # Agents have machines of their own: here they must not take the processor of the others.
    os.nice(5)
    results.put(asyncio.run(_all(port, agents, hang_ups, stop)))


async def _all(port: int, agents: int, hang_ups: float, stop: Event) -> Talk:
    talk = Talk()

    async def agent(number: int) -> None:
        chance = random.Random(number)
        await asyncio.sleep(number / CONNECTS)
        while not stop.is_set():
            try:
                async with connect(f"ws://127.0.0.1:{port}{PATH}", proxy=None) as socket:
                    for turn in range(TURNS):
                        left = chance.random() < hang_ups
                        patience = chance.uniform(0.1, 3.0) if left else None
                        await _turn(socket, f"{number}/{turn}", chance, patience, talk)
                        if left:
                            socket.transport.abort()
                            talk.hang_ups += 1
                            break
                        if stop.is_set():
                            break
            except (OSError, WebSocketException):
                talk.failures += 1

    await asyncio.gather(*map(agent, range(agents)))
    return talk


async def _turn(
    socket: ClientConnection, id_: str, chance: random.Random, patience: float | None, talk: Talk
) -> None:
    """Say a text, and listen to it; leave after ``patience`` seconds, if any."""
    text = chance.choice(TEXTS)
    complete: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await asyncio.gather(
                _write(socket, id_, text, complete), _listen(socket, id_, complete, talk)
            )


async def _write(
    socket: ClientConnection, id_: str, text: str, complete: asyncio.Future[float]
) -> None:
    async def send(**fields: object) -> None:
        await socket.send(json.dumps({"context_id": id_, **fields}))

    await send(text=" ")
    clause = False
    for word in text.split():
        await send(text=f"{word} ")
        if clause and not complete.done():  # a clause is over when the next word is there
            complete.set_result(time.perf_counter())
        clause = clause or word.endswith(",")
        await asyncio.sleep(1 / WORDS_PER_SECOND)
    await send(close_context=True)


async def _listen(
    socket: ClientConnection, id_: str, complete: asyncio.Future[float], talk: Talk
) -> None:
    """Receive a turn, and play it to its end."""
    begun, played, late = 0.0, 0.0, False
    while True:
        message = json.loads(await socket.recv())
        if message.get("contextId") != id_:
            continue
        if message.get("isFinal"):
            break
        now = time.perf_counter()
        if not begun:
            begun = now
            talk.first.append(now - await complete)
        late = late or now > begun + played
        played += len(base64.b64decode(message["audio"])) / 2 / RATE
    talk.turns += 1
    talk.underruns += late and played > 0
    talk.audio += played
    await asyncio.sleep(max(0.0, begun + played - time.perf_counter()))
