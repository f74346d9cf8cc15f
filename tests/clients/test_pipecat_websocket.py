"""Pipecat's ElevenLabs service over its WebSocket."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.frames.frames import TTSAudioRawFrame
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.tts_service import TextAggregationMode

from tests.clients.hearing import TEXT, Hearing, tokens
from tests.clients.pipecat_bot import Bot
from tests.support.live_server import Server
from tests.support.recogniser import SENTENCES

SENTENCE, TOKEN = TextAggregationMode.SENTENCE, TextAggregationMode.TOKEN
LONG = " ".join(SENTENCES * 4)
"""Two and a half minutes."""


def bot_of(server: Server, rate: int, mode: TextAggregationMode = SENTENCE) -> Bot:
    service = ElevenLabsTTSService(
        url=f"ws://127.0.0.1:{server.port}",
        api_key="unused",
        text_aggregation_mode=mode,
        settings=ElevenLabsTTSService.Settings(voice="alloy"),
    )
    return Bot(service, rate)


@pytest.mark.parametrize(
    ("rate", "mode"), [(16_000, SENTENCE), (24_000, SENTENCE), (24_000, TOKEN)]
)
def test_says_the_turn_with_its_words(
    server: Server, hearing: Hearing, rate: int, mode: TextAggregationMode
) -> None:
    async def speak() -> Bot:
        return await bot_of(server, rate, mode).say(tokens())

    bot = asyncio.run(speak())
    assert bot.errors == []
    assert bot.rates == {rate}
    assert [word.strip() for word in bot.words] == TEXT.split()
    times = bot.word_times[:-1]  # Pipecat does not time a word that no space follows
    assert times == sorted(set(times))
    assert len(bot.pcm) / 2 / rate - 1.5 < times[-1] < len(bot.pcm) / 2 / rate
    hearing.check(bot.pcm, rate)


def test_says_two_turns_on_one_connection(server: Server, hearing: Hearing) -> None:
    async def speak() -> list[bytes]:
        bot = bot_of(server, 24_000)
        turns = []
        async with bot.running():
            for _ in range(2):
                await bot.write(tokens())
                await bot.until_silent()
                turns.append(bot.pcm)
                bot.frames.clear()
        return turns

    for pcm in asyncio.run(speak()):
        hearing.check(pcm, 24_000)


def test_after_an_interruption_only_the_next_turn_is_heard(
    server: Server, hearing: Hearing
) -> None:
    async def speak() -> Bot:
        bot = bot_of(server, 24_000)
        async with bot.running():
            await bot.write(tokens(LONG))
            await bot.until(TTSAudioRawFrame)
            await bot.interrupt()
            await bot.write(tokens())
            await bot.until_silent()
        return bot

    bot = asyncio.run(speak())
    assert bot.errors == []
    hearing.check(bot.pcm, 24_000)
