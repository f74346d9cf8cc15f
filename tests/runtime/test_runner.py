"""The batched engine on tiny checkpoints: runner, voice cache and loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.runtime.utterances import CLONED, DESIGNED, OPTIONS, SEGMENTS, collect
from voxcpm_openai import InvalidRequest, Samples, Segment, Utterance, Voice
from voxcpm_openai.runtime.device.runner import Continuation, ModelRunner, join_texts
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.job import Job, LengthEstimate
from voxcpm_openai.runtime.engine.thread_count import ThreadCount
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.tiny_checkpoints import KINDS

Kinds = Callable[[str], VoxCPM]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(kind: str, model: Kinds) -> Iterator[BatchedEngine]:
    runner = ModelRunner(model(kind), VoiceCache(model(kind), kind), slots=6, length=256)
    engine = BatchedEngine(runner, rows_per_step=4, max_waiting=64, max_wait=600)
    yield engine
    engine.stop()


@pytest.fixture
def runner(kind: str, model: Kinds) -> ModelRunner:
    return ModelRunner(model(kind), VoiceCache(model(kind), kind), slots=2, length=256)


def synthesize(engine: BatchedEngine, voice: Voice = CLONED, **changes: object) -> Samples:
    utterance = Utterance(SEGMENTS, voice, OPTIONS, seed=3)
    return collect(engine.synthesize(replace(utterance, **changes)))


def test_a_request_among_others_equals_the_request_alone(engine: BatchedEngine) -> None:
    alone = synthesize(engine)
    outputs: dict[int, Samples] = {}

    def request(number: int) -> None:
        changes = {"seed": number, "options": {"inference_steps": 2 + number % 4}}
        outputs[number] = synthesize(engine, **(changes if number else {}))

    threads = [threading.Thread(target=request, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outputs[0].shape == alone.shape
    assert np.abs(outputs[0] - alone).max() < 1e-4
    assert np.abs(alone).max() > 0.01


def test_seeds_differ(engine: BatchedEngine) -> None:
    first, second = synthesize(engine, seed=3), synthesize(engine, seed=4)
    assert first.shape != second.shape or np.abs(first - second).max() > 1e-3


def test_without_a_clip_the_first_segment_is_the_prompt_of_the_others(
    runner: ModelRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, torch.Tensor | None]] = []
    begin = VoxCPM.begin

    def spy(self, slots, slot, ids, prompt=None, reference=None):
        calls.append((len(ids), prompt))
        return begin(self, slots, slot, ids, prompt, reference)

    monkeypatch.setattr(VoxCPM, "begin", spy)
    engine = BatchedEngine(runner, rows_per_step=2, max_waiting=64, max_wait=600)
    synthesize(engine, DESIGNED)
    engine.stop()
    first, *rest = calls
    assert first[1] is None
    assert len(rest) == 2
    assert all(prompt is not None and ids > first[0] for ids, prompt in rest)


def test_only_voxcpm2_gets_a_direction(runner: ModelRunner, kind: str) -> None:
    utterance = Utterance(SEGMENTS, DESIGNED, instructions="Whisper.")
    direction = runner.prepare_segment(utterance, SEGMENTS[0]).direction
    assert direction == ("(A low voice, Whisper.)" if kind == "voxcpm2" else "")


def test_the_description_of_a_voice_with_a_clip_is_not_a_direction(
    runner: ModelRunner,
) -> None:
    assert runner.prepare_segment(Utterance(SEGMENTS, CLONED), SEGMENTS[0]).direction == ""


def test_voxcpm2_needs_no_transcript(model: Kinds) -> None:
    """``voices.library`` refuses clips without one for the other models."""
    cache = VoiceCache(model("voxcpm2"), "voxcpm2")
    runner = ModelRunner(model("voxcpm2"), cache, slots=1, length=256)
    voice = replace(CLONED, transcript=None)
    prepared = runner.prepare_segment(Utterance(SEGMENTS, voice), SEGMENTS[0])
    assert prepared.reference is not None


def test_a_text_too_long_for_a_slot_is_refused(runner: ModelRunner) -> None:
    long = Segment("word " * 400)
    with pytest.raises(InvalidRequest, match="too long"):
        runner.prepare_segment(Utterance((long,), CLONED), long)


def test_the_longest_job_fits_its_slot(runner: ModelRunner) -> None:
    """With a clip, and with the first segment as the prompt, also of later streams."""
    described = replace(DESIGNED, description="a low voice that whispers " * 6)
    for voice in (CLONED, DESIGNED, described):
        continuation: object = None
        for index, segment in enumerate(SEGMENTS):
            utterance = Utterance((segment,), voice)
            prepared = runner.prepare_segment(utterance, segment)
            length = LengthEstimate(
                runner.patch_seconds, prepared.room, prepared.room, prepared.room
            )
            job = Job(index, segment, prepared, length, runner.sample_rate, root_seed=1, steps=2)
            job.continuation = continuation
            runner.admit(0, job)
            for _ in range(prepared.room):
                runner.launch([0])
            if voice.audio is None and index == 0:
                continuation = runner.continuation_from(job)
                assert isinstance(continuation, Continuation)
            runner.release(0)


def test_texts_are_joined_with_a_space_after_ascii_only() -> None:
    assert join_texts("The end.", "And on.") == "The end. And on."
    assert join_texts("你好。", "世界。") == "你好。世界。"


def test_status_shows_device_and_memory(engine: BatchedEngine) -> None:
    details = engine.status().details["runner"]
    assert details["device"] == "cpu"
    assert details["memory_bytes"] > 1e6


def test_each_step_on_a_cpu_gets_the_threads_that_the_load_allows(model: Kinds) -> None:
    steps: list[object] = []

    class Counted(ThreadCount):
        @contextmanager
        def step(self, kind: Hashable) -> Iterator[None]:
            steps.append(kind)
            yield

    ours, threads = model("voxcpm15"), Counted(2, lambda _: None)
    runner = ModelRunner(ours, VoiceCache(ours, "x"), slots=2, length=256, threads=threads)
    engine = BatchedEngine(runner, rows_per_step=2, max_waiting=4, max_wait=600)
    try:
        synthesize(engine, options={"inference_steps": 3})
        details = engine.status().details["runner"]
    finally:
        engine.stop()
    assert (1, 3) in steps
    assert details["threads"] == {"now": 2, "most": 2}
