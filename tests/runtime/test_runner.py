"""The voxcpm engine whole: runner, prompts and loop on tiny checkpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.runtime.tiny import KINDS
from voxcpm_openai import InvalidRequest, Samples, Segment, Utterance, Voice
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.job import Budget, Job
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.runtime.runner import ModelRunner, Spoken, joined

ROOT = Path(__file__).parent.parent.parent
CLIP = Voice(
    "alloy",
    "Alloy",
    audio=ROOT / "voices" / "alloy.flac",
    transcript="The words of the clip.",
    description="Catalogue text.",
)
NOBODY = Voice("nobody", "Nobody", description="A low voice")
SEGMENTS = (Segment("Hello there.", 0.3), Segment("How are you?", 0.3), Segment("Fine."))
STEPS = {"inference_steps": 3}

Kinds = Callable[[str], VoxCPM]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(kind: str, model: Kinds) -> Iterator[BatchedEngine]:
    runner = ModelRunner(model(kind), Prompts(model(kind), kind), slots=6, length=256)
    engine = BatchedEngine(runner, rows_per_step=4, max_waiting=64, max_wait=600)
    yield engine
    engine.stop()


@pytest.fixture
def runner(kind: str, model: Kinds) -> ModelRunner:
    return ModelRunner(model(kind), Prompts(model(kind), kind), slots=2, length=256)


def spoken(engine: BatchedEngine, voice: Voice = CLIP, **changes: object) -> Samples:
    utterance = Utterance(SEGMENTS, voice, STEPS, seed=3)
    utterance = replace(utterance, **changes)  # type: ignore[arg-type]
    return np.concatenate([chunk.samples for chunk in engine.speak(utterance)])


def test_a_request_alone_equals_itself_among_others(engine: BatchedEngine) -> None:
    alone = spoken(engine)
    heard: dict[int, Samples] = {}

    def ask(number: int) -> None:
        others = {"seed": number, "options": {"inference_steps": 2 + number % 4}}
        heard[number] = spoken(engine, **({} if number == 0 else others))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert heard[0].shape == alone.shape
    assert np.abs(heard[0] - alone).max() < 1e-4
    assert np.abs(alone).max() > 0.01


def test_another_seed_is_another_sound(engine: BatchedEngine) -> None:
    ours, other = spoken(engine, seed=3), spoken(engine, seed=4)
    assert ours.shape != other.shape or np.abs(ours - other).max() > 1e-3


def test_a_voice_without_a_clip_is_prompted_by_its_own_first_segment(
    runner: ModelRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, torch.Tensor | None]] = []
    prefill = VoxCPM.prefill

    def noted(self, slots, slot, ids, prompt=None, reference=None):  # type: ignore[no-untyped-def]
        seen.append((len(ids), prompt))
        prefill(self, slots, slot, ids, prompt, reference)

    monkeypatch.setattr(VoxCPM, "prefill", noted)
    engine = BatchedEngine(runner, rows_per_step=2, max_waiting=64, max_wait=600)
    spoken(engine, NOBODY)
    engine.stop()
    first, *rest = seen
    assert first[1] is None
    assert len(rest) == 2
    assert all(prompt is not None and ids > first[0] for ids, prompt in rest)


def test_only_voxcpm2_is_told_how_to_speak(runner: ModelRunner, kind: str) -> None:
    told = Utterance(SEGMENTS, NOBODY, instructions="Whisper.")
    direction = runner.prepare(told, SEGMENTS[0]).direction
    assert direction == ("(A low voice, Whisper.)" if kind == "voxcpm2" else "")


def test_the_description_of_a_voice_with_a_clip_never_reaches_the_model(
    runner: ModelRunner,
) -> None:
    assert runner.prepare(Utterance(SEGMENTS, CLIP), SEGMENTS[0]).direction == ""


def test_a_clip_without_words_is_refused_where_they_are_needed(
    runner: ModelRunner, kind: str
) -> None:
    mute = Utterance(SEGMENTS, replace(CLIP, transcript=None))
    if kind == "voxcpm2":
        assert runner.prepare(mute, SEGMENTS[0]).reference is not None
        return
    with pytest.raises(InvalidRequest, match="no transcript"):
        runner.prepare(mute, SEGMENTS[0])


def test_a_text_too_long_for_a_slot_is_refused(runner: ModelRunner) -> None:
    endless = Segment("word " * 400)
    with pytest.raises(InvalidRequest, match="too long"):
        runner.prepare(Utterance((endless,), CLIP), endless)


def test_no_job_outgrows_its_slot(runner: ModelRunner) -> None:
    """The longest speech that a budget allows, of both kinds of prompt, fits."""
    for voice in (CLIP, NOBODY):
        utterance = Utterance(SEGMENTS, voice)
        prompt: object = None
        for index, segment in enumerate(SEGMENTS):
            plan = runner.prepare(utterance, segment)
            budget = Budget(runner.patch_seconds, plan.room, plan.room, plan.room)
            job = Job(index, segment, plan, budget, runner.sample_rate, root=1, steps=2)
            job.prompt = prompt
            runner.admit(0, job)
            for _ in range(plan.room):
                runner.launch([0])
            if voice is NOBODY and index == 0:
                prompt = runner.prompt_from(job)
                assert isinstance(prompt, Spoken)
            runner.release(0)


def test_words_are_joined_as_each_script_does() -> None:
    assert joined("The end.", "And on.") == "The end. And on."
    assert joined("你好。", "世界。") == "你好。世界。"


def test_status_shows_device_and_memory(engine: BatchedEngine) -> None:
    look = engine.status()["runner"]
    assert look["device"] == "cpu"  # type: ignore[index]
    assert look["memory_bytes"] > 1e6  # type: ignore[index]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.flac"
    sound = 0.3 * np.sin(np.arange(24_000) / 24_000 * 2 * np.pi * 220)
    soundfile.write(path, sound, 24_000)
    return path


def counted(model: VoxCPM, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    encode = type(model).encode

    def noted(self, samples, **kwargs):  # type: ignore[no-untyped-def]
        calls.append(len(samples))
        return encode(self, samples, **kwargs)

    monkeypatch.setattr(type(model), "encode", noted)
    return calls


def test_a_clip_is_encoded_once_though_many_ask_at_the_same_time(
    kind: str, model: Kinds, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(model(kind), monkeypatch)
    prompts = Prompts(model(kind), kind)
    threads = [threading.Thread(target=prompts.get, args=(clip,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(calls) == 1
    assert calls[0] == pytest.approx(model(kind).encoder_rate, abs=2)


def test_encoded_clips_outlive_the_process_and_follow_their_content(
    kind: str, model: Kinds, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(model(kind), monkeypatch)
    kept = tmp_path / "kept"
    first = Prompts(model(kind), kind, kept).get(clip)
    again = Prompts(model(kind), kind, kept).get(clip)
    assert torch.equal(first.latents, again.latents)
    assert len(calls) == 1
    Prompts(model(kind), "another model", kept).get(clip)
    assert len(calls) == 2
    soundfile.write(clip, np.zeros(12_000), 24_000)
    Prompts(model(kind), kind, kept).get(clip)
    assert len(calls) == 3


def test_a_file_cut_off_while_it_was_written_is_made_anew(
    kind: str, model: Kinds, clip: Path, tmp_path: Path
) -> None:
    first = Prompts(model(kind), kind, tmp_path / "kept").get(clip)
    (path,) = (tmp_path / "kept").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    assert torch.equal(
        Prompts(model(kind), kind, tmp_path / "kept").get(clip).latents, first.latents
    )


@pytest.mark.parametrize("content", [b"", b"no sound at all", None])
def test_a_clip_that_is_none_is_the_voices_fault(
    kind: str, model: Kinds, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "clip.flac"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest) as caught:
        Prompts(model(kind), kind).get(path)
    assert caught.value.param == "voice"
