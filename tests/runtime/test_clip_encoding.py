"""A clip is encoded in parts between the steps of a CPU: the same, and once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.support.runtime.utterances import OPTIONS, SEGMENTS, collect
from voxcpm_openai import InvalidRequest, Utterance, Voice
from voxcpm_openai.runtime.device import clip_encoding
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.clip_encoding import ClipEncoding
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.device.voice_cache import EncodedVoice, VoiceCache
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.tiny_checkpoints import KINDS

Kinds = Callable[[str], VoxCPM]
SECONDS = 3
"""Of the clip: more than the encoder's own block of two seconds."""


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.flac"
    samples = np.random.default_rng(1).uniform(-0.3, 0.3, SECONDS * 24_000 + 7)
    soundfile.write(path, samples, 24_000)
    return path


def run(encoding: ClipEncoding | None) -> int:
    """Run all parts; return their number."""
    assert encoding is not None
    parts = 1
    while not encoding.run_part():
        parts += 1
    return parts


def tensors(voice: EncodedVoice) -> list[torch.Tensor]:
    return [voice.latents, *voice.on_device]


@pytest.mark.parametrize("sizes", [(1, 1, 1), (4, 16, 64), (5, 7, 300)])
def test_the_parts_of_a_clip_equal_the_whole(
    kind: str,
    model: Kinds,
    clip: Path,
    sizes: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, size in zip(("ENCODED", "EMBEDDED", "PREFILLED"), sizes, strict=True):
        monkeypatch.setattr(clip_encoding, name, size)
    whole = VoiceCache(model(kind), kind).get(clip)
    cache = VoiceCache(model(kind), kind)
    patches = len(whole.latents)
    assert run(cache.begin(clip)) >= patches / sizes[0]
    for ours, theirs in zip(tensors(cache.get(clip)), tensors(whole), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-5)


def test_what_was_encoded_in_parts_is_in_memory_and_on_disk(
    kind: str, model: Kinds, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    cache = VoiceCache(model(kind), kind, folder)
    parts = run(cache.begin(clip))
    assert cache.begin(clip) is None
    again = VoiceCache(model(kind), kind, folder)
    assert run(again.begin(clip)) < parts / 2, "the latents are on disk"
    monkeypatch.setattr(VoxCPM, "encode", None)
    monkeypatch.setattr(VoxCPM, "prompt", None)
    assert torch.equal(cache.get(clip).latents, again.get(clip).latents)


def test_an_encoding_is_shared_until_it_is_done(kind: str, model: Kinds, clip: Path) -> None:
    cache = VoiceCache(model(kind), kind)
    first = cache.begin(clip)
    assert cache.begin(clip) is first
    run(first)
    assert cache.begin(clip) is None


def test_an_encoding_that_failed_is_begun_anew(
    kind: str, model: Kinds, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = VoiceCache(model(kind), kind)
    first = cache.begin(clip)
    assert first is not None
    with monkeypatch.context() as patch:
        patch.setattr(model(kind).encoder, "layers", None)
        with pytest.raises(TypeError):
            first.run_part()
    assert cache.begin(clip) is not first
    run(cache.begin(clip))


def test_a_clip_that_is_deleted_meanwhile_leaves_nothing(
    kind: str, model: Kinds, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    cache = VoiceCache(model(kind), kind, folder)
    encoding = cache.begin(clip)
    clip.unlink()
    run(encoding)
    assert not [*folder.iterdir()]


@pytest.mark.parametrize("content", [b"", b"no audio", None])
def test_a_clip_without_audio_is_refused_before_any_part(
    kind: str, model: Kinds, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "clip.flac"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest):
        VoiceCache(model(kind), kind).begin(path)


@pytest.fixture
def engine(kind: str, model: Kinds) -> Iterator[BatchedEngine]:
    runner = ModelRunner(model(kind), VoiceCache(model(kind), kind), slots=2, length=256)
    engine = BatchedEngine(runner, rows_per_step=2, max_waiting=64, max_wait=600)
    yield engine
    engine.stop()


def count_encoder_threads(model: VoxCPM, monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Return a list that gets the thread of each use of the VAE's encoder."""
    threads: list[threading.Thread] = []
    layers = model.encoder.layers

    def spy(*arguments):
        threads.append(threading.current_thread())
        return layers(*arguments)

    monkeypatch.setattr(model.encoder, "layers", spy)
    return threads


def test_the_first_request_with_a_prepared_voice_encodes_nothing(
    kind: str, model: Kinds, engine: BatchedEngine, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = count_encoder_threads(model(kind), monkeypatch)
    voice = Voice("clip", "Clip", audio=clip, transcript="The words of the clip.")
    engine.prepare_voice(voice)
    assert len(threads) > SECONDS
    threads.clear()
    said = Utterance(SEGMENTS, voice, OPTIONS, seed=7)
    assert len(collect(engine.synthesize(said)))
    assert threads == []


def test_a_request_with_a_new_voice_is_encoded_in_the_thread_that_steps(
    kind: str, model: Kinds, engine: BatchedEngine, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second team of threads would take the cores of the first."""
    threads = count_encoder_threads(model(kind), monkeypatch)
    voice = Voice("clip", "Clip", audio=clip, transcript="The words of the clip.")
    assert len(collect(engine.synthesize(Utterance(SEGMENTS, voice, OPTIONS, seed=7))))
    assert {*threads} == {engine._thread}


def test_padded_batches_leave_a_clip_to_the_thread_that_asks(
    kind: str, model: Kinds, clip: Path
) -> None:
    """A GPU encodes it on a stream of its own."""
    cache = VoiceCache(model(kind), kind)
    runner = ModelRunner(model(kind), cache, slots=2, length=256, capture=enforce_eager)
    assert runner.voice_work(Voice("clip", "Clip", audio=clip)) is None
    assert cache.begin(clip) is None, "it is encoded"
