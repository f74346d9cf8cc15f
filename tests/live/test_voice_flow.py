"""From a consent to speech, against two gunicorn workers: the SDK, plain HTTP, the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.support import ROOT, TONE_PLUGINS
from tests.support.command import output_of, run
from tests.support.live_server import Server

RECORDING = ROOT / "voices" / "alloy.flac"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live") / "data"


@pytest.fixture(scope="module")
def settings(data: Path) -> dict[str, str]:
    return {
        "engine": "cloning-tone",
        "plugins_dir": str(TONE_PLUGINS),
        "data_dir": str(data),
        "workers": "2",
    }


@pytest.fixture(scope="module")
def workers(settings: dict[str, str]) -> Iterator[Server]:
    with Server(**settings) as server:
        server.wait_for(lambda _: sum(" ready at http" in line for line in server.lines) == 2)
        yield server


@pytest.fixture(scope="module")
def client(workers: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{workers.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def pids(server: Server) -> list[int]:
    lines = [line for line in server.lines if "Booting worker with pid" in line]
    return [int(line.rpartition(" ")[2]) for line in lines]


@contextmanager
def client_of(server: Server, worker: int) -> Iterator[OpenAI]:
    """A client of one worker: the others are stopped meanwhile."""
    others = [pid for pid in pids(server) if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:  # with a connection of its own: one that is kept alive belongs to a worker
        with OpenAI(
            base_url=f"{server.url}/v1", api_key="any", max_retries=0, timeout=20
        ) as client:
            yield client
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def made(client: OpenAI, name: str = "Jane") -> str:
    consent = client.audio.voice_consents.create(name=name, language="en-US", recording=RECORDING)
    voice = client.audio.voices.create(name=name, consent=consent.id, audio_sample=RECORDING)
    return voice.id


def speak(client: OpenAI, voice: str) -> bytes:
    return client.audio.speech.create(model="tts-1", voice=voice, input="Hello.").content


def test_the_sdk_goes_from_a_consent_to_speech(client: OpenAI) -> None:
    consent = client.audio.voice_consents.create(name="Jane", language="en-US", recording=RECORDING)
    assert (consent.object, consent.language) == ("audio.voice_consent", "en-US")
    assert client.audio.voice_consents.retrieve(consent.id) == consent
    renamed = client.audio.voice_consents.update(consent.id, name="Jane D.")
    assert renamed.name == "Jane D."
    voice = client.audio.voices.create(
        name="Jane", consent=consent.id, audio_sample=("me.flac", RECORDING.read_bytes())
    )
    assert (voice.object, voice.type, voice.name) == ("audio.voice", "audio_sample", "Jane")
    assert len(speak(client, voice.id)) > 1000
    assert len(speak(client, {"id": voice.id})) > 1000
    with pytest.raises(openai.BadRequestError, match="is used by these voices") as caught:
        client.audio.voice_consents.delete(consent.id)
    assert caught.value.code == "consent_in_use"
    gone = client.audio.voices.delete(voice.id)
    assert (gone.object, gone.deleted) == ("audio.voice.deleted", True)
    assert client.audio.voice_consents.delete(consent.id).deleted


def test_the_sdk_pages_through_all_consents(client: OpenAI) -> None:
    made = {
        client.audio.voice_consents.create(name=str(n), language="en", recording=RECORDING).id
        for n in range(3)
    }
    listed = [consent.id for consent in client.audio.voice_consents.list(limit=2)]
    assert made <= set(listed)
    assert len(listed) == len(set(listed))


def test_what_one_worker_adds_or_takes_away_the_other_sees_at_once(workers: Server) -> None:
    one, other = pids(workers)
    for first, second in ((one, other), (other, one)):
        with client_of(workers, first) as client:
            voice = made(client)
        with client_of(workers, second) as client:
            assert len(speak(client, voice)) > 1000
            client.audio.voices.delete(voice)
        with (
            client_of(workers, first) as client,
            pytest.raises(openai.BadRequestError, match="does not exist"),
        ):
            speak(client, voice)


def test_a_voice_that_the_command_line_adds_speaks_at_once(
    client: OpenAI, workers: Server, settings: dict[str, str]
) -> None:
    adding = run("voices", "add", str(RECORDING), "--name", "Me", **settings)
    assert adding.returncode == 0, output_of(adding)
    voice = adding.stdout.decode().strip()
    assert len(speak(client, voice)) > 1000
    with urllib.request.urlopen(f"{workers.url}/v1/voices/{voice}/sample", timeout=10) as reply:
        assert reply.headers["Content-Type"] == "audio/flac"
        assert reply.read(4) == b"fLaC"
    assert run("voices", "remove", voice, "--yes", **settings).returncode == 0
    with pytest.raises(openai.BadRequestError, match="does not exist"):
        speak(client, voice)


def test_plain_http_goes_from_a_consent_to_speech(workers: Server, tmp_path: Path) -> None:
    script = f"""
        set -e
        id() {{ {sys.executable} -c 'import json, sys; print(json.load(sys.stdin)["id"])'; }}
        url={workers.url}/v1
        consent=$(curl -sSf $url/audio/voice_consents -F name=Jane -F language=en-US \\
          -F 'recording=@{RECORDING};type=audio/flac' | id)
        voice=$(curl -sSf $url/audio/voices -F name=Jane -F consent=$consent \\
          -F 'audio_sample=@{RECORDING};type=audio/flac' | id)
        curl -sSf $url/audio/speech -H 'Content-Type: application/json' -o hello.mp3 \\
          -d '{{"model": "tts-1", "input": "Hello.", "voice": "'$voice'"}}'
        curl -sSf -X DELETE $url/voices/$voice
    """
    subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "hello.mp3").stat().st_size > 1000


def test_the_embedded_engine_keeps_a_voice_and_says_which_can_speak_it(
    server: Server,
) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        voice = made(client)
        with pytest.raises(openai.BadRequestError, match="VOXCPM_ENGINE=voxcpm") as caught:
            speak(client, voice)
        assert caught.value.code == "cannot_clone"
        client.audio.voices.delete(voice)
