"""The recipes of ``examples/clients`` whose packages are installed here, as they are."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.clients.hearing import Hearing, tokens
from tests.clients.pipecat_bot import Bot
from tests.support import ROOT
from tests.support.live_server import Server

RECIPES = ROOT / "examples" / "clients"


@pytest.fixture(autouse=True)
def _address(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_openais_python_sdk_writes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "speech.mp3"
    command = [sys.executable, str(RECIPES / "openai_python.py"), str(path)]
    subprocess.run(command, env=os.environ, timeout=60, check=True)
    assert path.stat().st_size > 20_000


def test_livekits_speaker_says_the_text(hearing: Hearing) -> None:
    from tests.clients.test_livekit_http import said

    async def speak() -> tuple[bytes, int]:
        return await said(recipe("livekit_agent").speaker)

    hearing.check(*asyncio.run(speak()))


def test_pipecats_speaker_says_the_turn(hearing: Hearing) -> None:
    async def speak() -> Bot:
        speaker = recipe("pipecat_service").speaker
        bot = await Bot(speaker, 24_000).say(tokens())
        await speaker._client.close()  # the service never does
        return bot

    bot = asyncio.run(speak())
    assert bot.errors == []
    hearing.check(bot.pcm, 24_000)
