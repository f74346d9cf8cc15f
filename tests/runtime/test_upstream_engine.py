"""The upstream engine on tiny checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.batched import hear
from tests.hearing.stock import load_plugin
from tests.live import Server
from tests.runtime.oracle import Oracle
from tests.runtime.test_runner import CLIP, NOBODY, SEGMENTS, STEPS
from tests.runtime.test_server import post
from tests.runtime.tiny import KINDS
from voxcpm_openai import (
    Engine,
    InvalidRequest,
    Segment,
    Settings,
    Utterance,
)
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.prompts import read_clip

plugin: Any = load_plugin("upstream_engine")

HELLO = Utterance((Segment("Hello there."),), CLIP, STEPS, seed=3)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(kind: str, checkpoint: Callable[[str], Path]) -> Iterator[Engine]:
    engine: Engine = plugin.start(Settings(model=str(checkpoint(kind)), threads=1))
    yield engine
    engine.stop()


def test_it_speaks_with_a_clip_and_without(engine: Engine) -> None:
    for voice in (CLIP, NOBODY):
        stream = engine.speak(replace(HELLO, segments=SEGMENTS, voice=voice))
        chunks = list(stream)
        assert [c.segment for c in chunks] == sorted(c.segment for c in chunks)
        assert {c.segment for c in chunks} == {0, 1, 2}
        assert all(c.samples.dtype == np.float32 and c.samples.ndim == 1 for c in chunks)
        assert max(np.abs(c.samples).max(initial=0) for c in chunks) > 0.01
        assert stream.usage.input_tokens > 10
        assert stream.usage.output_tokens == len(chunks) - 2  # two are pauses


def test_what_it_says_is_what_the_package_says(
    engine: Engine, kind: str, oracle: Callable[[str], Oracle]
) -> None:
    assert CLIP.audio is not None
    clip: dict[str, str] = {"reference_wav_path": str(CLIP.audio)}
    if kind != "voxcpm2":
        clip = {"prompt_wav_path": str(CLIP.audio), "prompt_text": f"{CLIP.transcript} "}
    theirs = oracle(kind).model  # made before the seed is set: making it draws
    torch.manual_seed(3)
    sound = theirs.generate_streaming("Hello there.", inference_timesteps=3, cfg_value=1.5, **clip)
    expected = torch.cat(list(sound), dim=1)[0]  # [N]
    options = {"inference_steps": 3, "cfg_value": 1.5}
    np.testing.assert_array_equal(hear(engine.speak(replace(HELLO, options=options))), expected)


def test_a_clip_is_heard_as_our_own_model_hears_it(
    kind: str, model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle]
) -> None:
    assert CLIP.audio is not None
    ours, theirs, second = model(kind), oracle(kind).model, kind == "voxcpm2"
    latents = ours.encode(
        torch.from_numpy(read_clip(CLIP.audio, ours.encoder_rate)), reference=second
    )
    if second:
        wanted = theirs.build_prompt_cache(reference_wav_path=str(CLIP.audio))["ref_audio_feat"]
    else:
        wanted = theirs.build_prompt_cache("The words.", str(CLIP.audio))["audio_feat"]
    torch.testing.assert_close(latents, wanted, atol=1e-5, rtol=0)


def test_many_at_once_are_heard_as_each_alone(engine: Engine, pool: ThreadPoolExecutor) -> None:
    asked = [replace(HELLO, segments=SEGMENTS, seed=seed) for seed in range(4)]
    alone = [hear(engine.speak(one)) for one in asked]
    for heard, expected in zip(
        pool.map(lambda one: hear(engine.speak(one)), asked), alone, strict=True
    ):
        np.testing.assert_array_equal(heard, expected)
    assert not np.array_equal(alone[0], alone[1])


def test_without_a_seed_each_time_is_another(engine: Engine) -> None:
    asked = replace(HELLO, seed=None)
    first, second = hear(engine.speak(asked)), hear(engine.speak(asked))
    assert len(first) != len(second) or not np.array_equal(first, second)


def test_it_says_what_it_is_and_can_do(engine: Engine, kind: str) -> None:
    second = kind == "voxcpm2"
    assert (engine.designs, engine.needs_transcript) == (second, not second)
    assert ("instructions" in engine.honours) is second
    assert engine.languages == (() if second else ("zh", "en"))
    status = engine.status()
    assert (status["state"], status["running"], status["waiting"]) == ("ready", 0, 0)
    assert (status["device"], status["dtype"]) == ("cpu", "float32")
    if not second:
        with pytest.raises(InvalidRequest, match="no transcript"):
            engine.speak(replace(HELLO, voice=replace(CLIP, transcript=None)))


def test_the_dtype_of_the_settings_leaves_the_checkpoint_as_it_is(
    checkpoint: Callable[[str], Path],
) -> None:
    folder = checkpoint("voxcpm15")
    before = (folder / "config.json").read_bytes()
    engine = plugin.start(Settings(model=str(folder), threads=1, dtype="bfloat16"))
    assert engine.status()["dtype"] == "bfloat16"
    assert len(hear(engine.speak(HELLO)))
    engine.stop()
    assert (folder / "config.json").read_bytes() == before


def test_what_is_missing_is_named(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Settings(model=str(checkpoint("voxcpm15")))
    assert plugin.available(here) is None
    assert "no such folder" in plugin.available(Settings(model=str(tmp_path / "nowhere")))
    assert "float32, bfloat16" in plugin.available(replace(here, dtype="int8"))
    monkeypatch.setattr(plugin, "PACKAGES", ("torch", "not_there", "nor_this"))
    assert "not_there, nor_this are missing" in plugin.available(here)
    assert "pip install --no-deps voxcpm" in plugin.available(here)


def test_a_live_server_speaks_through_it(checkpoint: Callable[[str], Path]) -> None:
    folder = str(checkpoint("voxcpm15"))
    with Server(engine="upstream", model=folder, threads="1") as server:
        server.wait_ready()
        headers, sound = post(server)
        assert headers["Content-Type"].startswith("audio/pcm")
        assert len(sound) > 4_000
        assert post(server)[1] == sound
        engine = server.ready()["engine"]
        assert (engine["name"], engine["state"], engine["done"]) == ("upstream", "ready", 2)
        assert not any("Traceback" in line or "it/s" in line for line in server.lines)
