"""Pipecat's speech services over HTTP."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from openai import DefaultAsyncHttpxClient
from pipecat.services.elevenlabs.tts import ElevenLabsHttpTTSService
from pipecat.services.openai.tts import OpenAITTSService

from tests.clients.hearing import TEXT, Hearing, tokens
from tests.clients.pipecat_bot import Bot
from tests.support.live_server import Server


def test_openai_service_says_the_turn(server: Server, hearing: Hearing) -> None:
    async def speak() -> Bot:
        async with DefaultAsyncHttpxClient() as connections:  # the service never closes its own
            service = OpenAITTSService(
                base_url=f"{server.url}/v1",
                api_key="unused",
                http_client=connections,
                settings=OpenAITTSService.Settings(voice="alloy"),
            )
            return await Bot(service, 24_000).say(tokens())

    bot = asyncio.run(speak())
    assert bot.errors == []
    assert bot.rates == {24_000}
    hearing.check(bot.pcm, 24_000)


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
def test_elevenlabs_service_says_the_turn_with_its_words(
    server: Server, hearing: Hearing, rate: int
) -> None:
    async def speak() -> Bot:
        async with aiohttp.ClientSession() as session:
            service = ElevenLabsHttpTTSService(
                base_url=server.url,
                api_key="unused",
                aiohttp_session=session,
                settings=ElevenLabsHttpTTSService.Settings(voice="alloy"),
            )
            return await Bot(service, rate).say(tokens())

    bot = asyncio.run(speak())
    assert bot.errors == []
    assert bot.rates == {rate}
    assert bot.words == TEXT.split()
    hearing.check(bot.pcm, rate)
