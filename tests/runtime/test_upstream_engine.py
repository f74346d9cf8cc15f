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

from tests.runtime.test_server import post
from tests.support.live_server import Server
from tests.support.runtime.oracle import Oracle
from tests.support.runtime.utterances import (
    CLONED,
    DESIGNED,
    OPTIONS,
    SEGMENTS,
    collect,
    settings_of,
)
from tests.support.stock import load_plugin
from voxcpm_openai import Engine, Segment, Utterance
from voxcpm_openai.audio import read_clip
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.tiny_checkpoints import KINDS

plugin: Any = load_plugin("upstream_engine")

HELLO = Utterance((Segment("Hello there."),), CLONED, OPTIONS, seed=3)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(kind: str, checkpoint: Callable[[str], Path]) -> Iterator[Engine]:
    engine: Engine = plugin.start(settings_of(checkpoint(kind)))
    yield engine
    engine.stop()


def test_it_synthesizes_with_and_without_a_clip(engine: Engine) -> None:
    for voice in (CLONED, DESIGNED):
        stream = engine.synthesize(replace(HELLO, segments=SEGMENTS, voice=voice))
        chunks = list(stream)
        assert [c.segment for c in chunks] == sorted(c.segment for c in chunks)
        assert {c.segment for c in chunks} == {0, 1, 2}
        assert all(c.samples.dtype == np.float32 and c.samples.ndim == 1 for c in chunks)
        assert max(np.abs(c.samples).max(initial=0) for c in chunks) > 0.01
        assert stream.usage.input_tokens > 10
        assert stream.usage.output_tokens == len(chunks) - 2  # two are pauses


def test_its_samples_equal_the_packages(
    engine: Engine, kind: str, oracle: Callable[[str], Oracle]
) -> None:
    assert CLONED.audio is not None
    clip: dict[str, str] = {"reference_wav_path": str(CLONED.audio)}
    if kind != "voxcpm2":
        clip = {"prompt_wav_path": str(CLONED.audio), "prompt_text": f"{CLONED.transcript} "}
    theirs = oracle(kind).model  # created before the seed is set: it draws numbers
    torch.manual_seed(3)
    chunks = theirs.generate_streaming("Hello there.", inference_timesteps=3, cfg_value=1.5, **clip)
    expected = torch.cat(list(chunks), dim=1)[0]  # [N]
    options = {"inference_steps": 3, "cfg_value": 1.5}
    np.testing.assert_array_equal(
        collect(engine.synthesize(replace(HELLO, options=options))), expected
    )


def test_a_clip_has_the_latents_of_our_own_model(
    kind: str, model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle]
) -> None:
    assert CLONED.audio is not None
    ours, theirs, second = model(kind), oracle(kind).model, kind == "voxcpm2"
    latents = ours.encode(
        torch.from_numpy(read_clip(CLONED.audio, ours.encoder_rate)), reference=second
    )
    if second:
        expected = theirs.build_prompt_cache(reference_wav_path=str(CLONED.audio))["ref_audio_feat"]
    else:
        expected = theirs.build_prompt_cache("The words.", str(CLONED.audio))["audio_feat"]
    torch.testing.assert_close(latents, expected, atol=1e-5, rtol=0)


def test_concurrent_requests_equal_each_request_alone(
    engine: Engine, pool: ThreadPoolExecutor
) -> None:
    utterances = [replace(HELLO, segments=SEGMENTS, seed=seed) for seed in range(4)]
    alone = [collect(engine.synthesize(utterance)) for utterance in utterances]
    together = pool.map(lambda utterance: collect(engine.synthesize(utterance)), utterances)
    for samples, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(samples, expected)
    assert not np.array_equal(alone[0], alone[1])


def test_without_a_seed_outputs_differ(engine: Engine) -> None:
    utterance = replace(HELLO, seed=None)
    first, second = (collect(engine.synthesize(utterance)) for _ in range(2))
    assert len(first) != len(second) or not np.array_equal(first, second)


def test_capabilities_and_status(engine: Engine, kind: str) -> None:
    second = kind == "voxcpm2"
    capabilities = engine.capabilities
    assert (capabilities.voice_design, capabilities.needs_transcript) == (second, not second)
    assert ("instructions" in capabilities.params) is second
    assert capabilities.languages == (() if second else ("zh", "en"))
    status = engine.status()
    assert (status.state, status.running, status.waiting) == ("ready", 0, 0)
    assert (status.details["device"], status.details["dtype"]) == ("cpu", "float32")


def test_the_dtype_setting_does_not_change_the_checkpoint(
    checkpoint: Callable[[str], Path],
) -> None:
    folder = checkpoint("voxcpm15")
    before = (folder / "config.json").read_bytes()
    engine = plugin.start(settings_of(folder, dtype="bfloat16"))
    assert engine.status().details["dtype"] == "bfloat16"
    assert len(collect(engine.synthesize(HELLO)))
    engine.stop()
    assert (folder / "config.json").read_bytes() == before


def test_the_unavailable_reason_names_what_is_missing(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint("voxcpm15")
    settings = settings_of(folder)
    assert plugin.unavailable_reason(settings) is None
    assert "no such folder" in plugin.unavailable_reason(settings_of(tmp_path / "nowhere"))
    assert "float32, bfloat16" in plugin.unavailable_reason(settings_of(folder, dtype="int8"))
    monkeypatch.setattr(plugin, "PACKAGES", ("torch", "not_there", "nor_this"))
    assert "not_there, nor_this are missing" in plugin.unavailable_reason(settings)
    assert "pip install --no-deps voxcpm" in plugin.unavailable_reason(settings)


def test_a_live_server_runs_it(checkpoint: Callable[[str], Path]) -> None:
    folder = str(checkpoint("voxcpm15"))
    with Server(engine="upstream", model=folder, threads="1") as server:
        server.wait_ready()
        headers, audio = post(server)
        assert headers["Content-Type"].startswith("audio/pcm")
        assert len(audio) > 4_000
        assert post(server)[1] == audio
        engine = server.ready()["engine"]
        assert (engine["name"], engine["state"], engine["completed"]) == ("upstream", "ready", 2)
        assert not any("Traceback" in line or "it/s" in line for line in server.lines)
