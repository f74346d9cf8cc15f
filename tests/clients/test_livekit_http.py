"""LiveKit's speech plugins over HTTP."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from livekit.agents import tts
from livekit.plugins import elevenlabs, openai

from tests.clients.hearing import TEXT, Hearing
from tests.support.live_server import Server


async def said(speaker: tts.TTS) -> tuple[bytes, int]:
    """Return the audio of the text, and its sample rate in Hz."""
    frame = await speaker.synthesize(TEXT).collect()
    await speaker.aclose()
    return bytes(frame.data), frame.sample_rate


@pytest.mark.parametrize("model", ["gpt-4o-mini-tts", "tts-1"])
@pytest.mark.parametrize("format_", ["mp3", "pcm", "opus", "wav"])
def test_openai_plugin_says_the_text(
    server: Server, hearing: Hearing, model: str, format_: str
) -> None:
    async def speak() -> tuple[bytes, int]:
        return await said(
            openai.TTS(
                base_url=f"{server.url}/v1",
                api_key="unused",
                model=model,
                voice="alloy",
                response_format=format_,
            )
        )

    pcm, rate = asyncio.run(speak())
    assert rate == 24_000
    hearing.check(pcm, rate)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("mp3_22050_32", 22_050), ("pcm_16000", 16_000), ("pcm_24000", 24_000)],
)
def test_elevenlabs_plugin_says_the_text(
    server: Server, hearing: Hearing, encoding: str, expected: int
) -> None:
    async def speak() -> tuple[bytes, int]:
        async with aiohttp.ClientSession() as session:
            return await said(
                elevenlabs.TTS(
                    base_url=f"{server.url}/v1",
                    api_key="unused",
                    voice_id="alloy",
                    encoding=encoding,
                    http_session=session,
                )
            )

    pcm, rate = asyncio.run(speak())
    assert rate == expected
    hearing.check(pcm, rate)


def test_elevenlabs_plugin_lists_the_voices(server: Server) -> None:
    async def voices() -> list[elevenlabs.Voice]:
        async with aiohttp.ClientSession() as session:
            speaker = elevenlabs.TTS(
                base_url=f"{server.url}/v1", api_key="unused", http_session=session
            )
            return await speaker.list_voices()

    assert "alloy" in [voice.id for voice in asyncio.run(voices())]
