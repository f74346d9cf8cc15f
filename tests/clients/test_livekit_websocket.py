"""LiveKit's ElevenLabs plugin over its WebSocket, with a text that arrives token by token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIConnectOptions, APIStatusError
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.agents.voice.io import TimedString
from livekit.plugins import elevenlabs

from tests.clients.hearing import TEXT, Hearing, tokens
from tests.support.live_server import Server
from tests.support.recogniser import SENTENCES

LONG = " ".join(SENTENCES * 4)
"""Two and a half minutes."""


@asynccontextmanager
async def speaker_of(server: Server, **options: Any) -> AsyncIterator[elevenlabs.TTS]:
    async with aiohttp.ClientSession() as session:
        speaker = elevenlabs.TTS(
            base_url=f"{server.url}/v1",
            api_key="unused",
            voice_id="alloy",
            http_session=session,
            **options,
        )
        yield speaker
        await speaker.aclose()


class Said:
    """What came back for a text."""

    def __init__(self) -> None:
        self.pcm = b""
        self.rates: set[int] = set()
        self.words: list[TimedString] = []


async def say(speaker: elevenlabs.TTS, words: Iterable[str]) -> Said:
    said = Said()
    async with speaker.stream() as stream:
        for word in words:
            stream.push_text(word)
        stream.end_input()
        async for event in stream:
            said.pcm += bytes(event.frame.data)
            said.rates.add(event.frame.sample_rate)
            said.words += event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
    return said


@pytest.mark.parametrize(
    ("encoding", "rate", "options"),
    [
        ("mp3_22050_32", 22_050, {}),
        ("pcm_16000", 16_000, {}),
        ("pcm_24000", 24_000, {}),
        ("pcm_24000", 24_000, {"sync_alignment": False}),
        ("pcm_24000", 24_000, {"chunk_length_schedule": [50, 120, 160, 290]}),  # words, no flush
    ],
)
def test_says_the_text(
    server: Server, hearing: Hearing, encoding: str, rate: int, options: dict[str, Any]
) -> None:
    async def speak() -> Said:
        async with speaker_of(server, encoding=encoding, **options) as speaker:
            return await say(speaker, tokens())

    said = asyncio.run(speak())
    assert said.rates == {rate}
    hearing.check(said.pcm, rate)


def test_times_of_words_go_from_the_start_to_the_end(server: Server) -> None:
    async def speak() -> Said:
        async with speaker_of(server, encoding="pcm_24000") as speaker:
            return await say(speaker, tokens())

    said = asyncio.run(speak())
    assert "".join(said.words).split() == TEXT.split()
    starts = [word.start_time for word in said.words]
    assert starts == sorted(starts)
    assert starts[0] < 0.5
    assert said.words[-1].end_time == pytest.approx(len(said.pcm) / 48_000, abs=0.5)


def test_says_two_texts_at_once_on_one_connection(server: Server, hearing: Hearing) -> None:
    async def speak() -> list[Said]:
        async with speaker_of(server, encoding="pcm_24000") as speaker:
            return await asyncio.gather(say(speaker, tokens()), say(speaker, tokens()))

    for said in asyncio.run(speak()):
        hearing.check(said.pcm, 24_000)


def test_after_an_interruption_the_next_text_is_heard(server: Server, hearing: Hearing) -> None:
    async def speak() -> Said:
        async with speaker_of(server, encoding="pcm_24000") as speaker:
            async with speaker.stream() as stream:
                for word in tokens(LONG):
                    stream.push_text(word)
                await anext(stream)
            return await say(speaker, tokens())

    hearing.check(asyncio.run(speak()).pcm, 24_000)


def test_a_text_without_words_ends(server: Server) -> None:
    async def speak() -> Said:
        async with speaker_of(server, encoding="pcm_24000") as speaker:
            return await say(speaker, [" "])

    assert asyncio.run(speak()).pcm == b""


def test_an_unknown_voice_is_an_error(server: Server) -> None:
    async def speak() -> None:
        async with speaker_of(server) as speaker:
            speaker.update_options(voice_id="nobody")
            async with speaker.stream(conn_options=APIConnectOptions(max_retry=0)) as stream:
                stream.push_text(TEXT)
                stream.end_input()
                await anext(stream)

    with pytest.raises(APIStatusError) as refusal:
        asyncio.run(speak())
    assert refusal.value.status_code == 1008
