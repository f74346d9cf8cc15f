"""OpenAI's Realtime API as text to speech: its Python client, and Open WebUI's messages."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from tests.clients.hearing import TEXT, Hearing
from tests.support.live_server import Server
from tests.support.recogniser import SENTENCES

MODEL = "gpt-realtime-2.1-mini"
SECONDS = 60
"""How long a test may take."""
READ_ALOUD = "You are a text-to-speech engine. Read the user's text aloud, word for word."
LONG = " ".join(SENTENCES * 4)

SESSION: dict[str, Any] = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "audio": {
        "input": {"turn_detection": None, "transcription": None},
        "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "alloy"},
    },
    "tools": [],
    "tool_choice": "none",
    "instructions": READ_ALOUD,
}


def response(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {
        "conversation": "none",
        "output_modalities": ["audio"],
        "tools": [],
        "tool_choice": "none",
        "instructions": READ_ALOUD,
        "input": [{"type": "message", "role": "user", "content": content}],
    }


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[AsyncRealtimeConnection]:
    """Yield a connection with a session for speech."""
    async with (
        asyncio.timeout(SECONDS),
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(session=SESSION)
        updated = await connection.recv()
        assert updated.type == "session.updated"
        assert updated.session.audio.output.voice == "alloy"
        yield connection


class Answer:
    """A response as it arrives."""

    def __init__(self) -> None:
        self.pcm = b""
        self.transcript = ""
        self.status: str | None = None


async def answers(connection: AsyncRealtimeConnection, count: int = 1) -> list[Answer]:
    """Return so many responses, when all are done."""
    found: dict[str, Answer] = {}
    async for event in connection:
        match event.type:
            case "response.created":
                found[event.response.id] = Answer()
            case "response.output_audio.delta":
                found[event.response_id].pcm += base64.b64decode(event.delta)
            case "response.output_audio_transcript.delta":
                found[event.response_id].transcript += event.delta
            case "response.done":
                found[event.response.id].status = event.response.status
            case "error":
                pytest.fail(event.error.message)
        if len(found) == count and all(answer.status for answer in found.values()):
            break
    return list(found.values())


def test_the_client_hears_the_text_verbatim(server: Server, hearing: Hearing) -> None:
    async def speak() -> list[Answer]:
        async with connected(server) as connection:
            await connection.response.create(response=response(TEXT))
            return await answers(connection)

    [answer] = asyncio.run(speak())
    assert answer.status == "completed"
    assert answer.transcript.split() == TEXT.split()
    hearing.check(answer.pcm, 24_000)


def test_the_client_tells_parallel_responses_apart(server: Server, hearing: Hearing) -> None:
    async def speak() -> list[Answer]:
        async with connected(server) as connection:
            for _ in range(2):
                await connection.response.create(response=response(TEXT))
            return await answers(connection, 2)

    for answer in asyncio.run(speak()):
        assert answer.status == "completed"
        hearing.check(answer.pcm, 24_000)


def test_the_client_cancels_a_response_and_hears_the_next(server: Server, hearing: Hearing) -> None:
    async def speak() -> list[Answer]:
        async with connected(server) as connection:
            await connection.response.create(response=response(LONG))
            while (event := await connection.recv()).type != "response.output_audio.delta":
                pass
            await connection.response.cancel(response_id=event.response_id)
            while (event := await connection.recv()).type != "response.done":
                pass
            assert event.response.status == "cancelled"
            await connection.response.create(response=response(TEXT))
            return await answers(connection)

    [answer] = asyncio.run(speak())
    hearing.check(answer.pcm, 24_000)


def test_open_webui_hears_the_text(server: Server, hearing: Hearing) -> None:
    """Open WebUI sends these messages, waits for these answers, and makes these checks."""
    pcm = asyncio.run(open_webui(f"ws://127.0.0.1:{server.port}/v1/realtime?model={MODEL}"))
    hearing.check(pcm, 24_000)


async def open_webui(url: str) -> bytes:
    """Return the audio of the text."""
    async with (
        asyncio.timeout(SECONDS),
        aiohttp.ClientSession(headers={"Authorization": "Bearer unused"}) as session,
        session.ws_connect(url) as socket,
    ):

        async def receive() -> dict[str, Any]:
            event: dict[str, Any] = await socket.receive_json()
            assert event["type"] != "error", event
            return event

        assert (await receive())["type"] == "session.created"
        await socket.send_str(json.dumps({"type": "session.update", "session": SESSION}))
        assert (await receive())["type"] == "session.updated"
        await socket.send_str(json.dumps({"type": "response.create", "response": response(TEXT)}))
        pcm, id_ = b"", ""
        while (event := await receive())["type"] != "response.done":
            if event["type"] == "response.created":
                id_ = event["response"]["id"]
            if event["type"] == "response.output_audio.delta":
                assert event["response_id"] == id_
                pcm += base64.b64decode(event["delta"], validate=True)
        assert event["response"]["id"] == id_
        assert event["response"]["status"] == "completed"
        return pcm
