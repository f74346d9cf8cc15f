"""A live server with the voxcpm engine on a tiny checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
import random
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.live.test_soak import ask
from tests.support import ROOT
from tests.support.live_server import Server
from tests.support.socket_client import until
from tests.support.stock import OPENAI_MODELS
from voxcpm_openai.testing.tiny_checkpoints import KINDS

TEXT = "Hello there. How are you?"


@pytest.fixture(scope="module", params=KINDS)
def kind_and_server(
    request: pytest.FixtureRequest,
    checkpoint: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Server]]:
    kind = str(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        # float32 keeps a stream among others closest to the stream alone.
        with Server(
            engine="voxcpm", model=str(checkpoint(kind)), threads="1", dtype="float32"
        ) as server:
            yield kind, server.wait_ready()


def post(server: Server, **fields: object) -> tuple[dict[str, str], bytes]:
    body = {"model": "tts-1", "input": TEXT, "response_format": "pcm", "seed": 1, **fields}
    request = urllib.request.Request(
        f"{server.url}/v1/audio/speech",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return dict(reply.headers), reply.read()


def test_stock_voices_are_encoded_without_a_request(kind_and_server: tuple[str, Server]) -> None:
    """The default one first; the next start finds them on disk."""
    name = hashlib.sha256((ROOT / "voices" / "alloy.flac").read_bytes()).hexdigest()
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "voxcpm-openai" / "prompts"
    until(lambda: any(folder.glob(f"{name}*.safetensors")))


def test_every_model_id_returns_audio(kind_and_server: tuple[str, Server]) -> None:
    _, server = kind_and_server
    with urllib.request.urlopen(f"{server.url}/v1/models", timeout=10) as reply:
        models = [model["id"] for model in json.load(reply)["data"]]
    assert sorted(models) == sorted([*OPENAI_MODELS, "voxcpm"])
    outputs = {model: post(server, model=model)[1] for model in models}
    assert all(len(audio) > 4_000 for audio in outputs.values())
    assert outputs["tts-1"] != outputs["tts-1-hd"]  # 5 steps and 10


def test_only_voxcpm2_takes_instructions(kind_and_server: tuple[str, Server]) -> None:
    kind, server = kind_and_server
    headers, whispered = post(server, instructions="Whisper.")
    _, plain = post(server)
    if kind == "voxcpm2":
        assert "x-voxcpm-ignored" not in headers
        assert whispered != plain
    else:
        assert headers["x-voxcpm-ignored"] == "instructions"
        assert len(whispered) == len(plain)


def test_all_models_speak_chinese_and_only_voxcpm2_cyrillic(
    kind_and_server: tuple[str, Server],
) -> None:
    kind, server = kind_and_server
    assert len(post(server, input="你好，世界。")[1]) > 4_000
    if kind == "voxcpm2":
        assert len(post(server, input="Привет")[1]) > 4_000
        return
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(server, input="Привет")
    assert caught.value.code == 400
    caught.value.close()


def test_clients_that_disconnect_at_random_do_not_change_other_streams(
    kind_and_server: tuple[str, Server],
) -> None:
    _, server = kind_and_server
    jobs = [
        {"model": "tts-1", "input": "One. " * count, "voice": voice, "seed": count}
        for count, voice in ((1, "alloy"), (2, "echo"), (3, "nova"))
    ]
    alone = [ask(server, job) for job in jobs]

    def request(seed: int) -> None:
        choice = random.Random(seed)
        index = choice.randrange(len(jobs))
        audio = ask(server, jobs[index], choice.choice([None, None, 0, 1]))
        if audio is not None:
            samples = np.frombuffer(audio, "<i2").astype(int)
            expected = np.frombuffer(alone[index] or b"", "<i2").astype(int)
            assert len(samples) == len(expected)
            assert np.abs(samples - expected).max() <= 4  # 1e-4 of full scale

    with ThreadPoolExecutor(12) as clients:
        list(clients.map(request, range(200)))
    for _ in range(2000):
        engine = server.ready()["engine"]
        if engine["running"] == engine["waiting"] == engine["streams"] == 0:
            break
    assert (engine["running"], engine["waiting"], engine["streams"]) == (0, 0, 0)
    assert not any("Traceback" in line for line in server.lines)
