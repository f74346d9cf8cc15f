"""The prompt of a row is read in parts on a CPU: the same, and a step reads what is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.runtime.utterances import CLONED, OPTIONS, SEGMENTS, collect
from voxcpm_openai import Segment, Utterance
from voxcpm_openai.runtime.device import unpadded
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.job import Job, LengthEstimate
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.tiny_checkpoints import KINDS

Kinds = Callable[[str], VoxCPM]
SEGMENT = Segment("The harbour was quiet at this hour, and the boats lay still.")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def runner(kind: str, model: Kinds) -> ModelRunner:
    return ModelRunner(model(kind), VoiceCache(model(kind), kind), slots=4, length=256)


def job_of(runner: ModelRunner) -> Job:
    prepared = runner.prepare_segment(Utterance((SEGMENT,), CLONED), SEGMENT)
    length = LengthEstimate.of(SEGMENT.text, runner.patch_seconds, prepared.room)
    return Job(0, SEGMENT, prepared, length, runner.sample_rate, root_seed=7, steps=3)


def patches(runner: ModelRunner, slot: int, count: int = 3) -> np.ndarray:
    made = np.concatenate([runner.launch([slot]).samples()[0] for _ in range(count)])
    runner.release(slot)
    return made


@pytest.mark.parametrize("part", [1, 5, 1_000])
def test_a_prompt_read_in_parts_equals_one_read_at_once(
    runner: ModelRunner, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpadded, "PREFILLED", part)
    job = job_of(runner)
    runner.admit(0, job)
    whole = patches(runner, 0)
    assert runner.admit(0, job), "it may be read before a step"
    reads = 1
    while not runner.read(0, whole=False):
        reads += 1
    assert reads > 10 or part > 1
    assert np.abs(patches(runner, 0) - whole).max() < 1e-5
    assert np.abs(whole).max() > 0.01


def test_a_step_reads_what_is_left_of_a_prompt(runner: ModelRunner) -> None:
    job = job_of(runner)
    runner.admit(0, job)
    whole = patches(runner, 0)
    runner.admit(0, job)
    runner.read(0, whole=False)
    assert np.abs(patches(runner, 0) - whole).max() < 1e-5


def test_a_row_that_is_read_beside_another_does_not_change_it(runner: ModelRunner) -> None:
    job = job_of(runner)
    runner.admit(0, job)
    alone = patches(runner, 0)
    runner.admit(0, job)
    runner.admit(1, job_of(runner))
    made = []
    for _ in range(3):
        runner.read(1, whole=False)
        made.append(runner.launch([0]).samples()[0])
    runner.release(0)
    runner.release(1)
    assert np.abs(np.concatenate(made) - alone).max() < 1e-5


def test_segments_read_in_parts_sound_as_in_a_request_of_their_own(
    runner: ModelRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the engine: the later segments are read beside the first."""
    reads: list[bool] = []
    read = ModelRunner.read

    def spy(self: ModelRunner, slot: int, *, whole: bool) -> bool:
        reads.append(whole)
        return read(self, slot, whole=whole)

    monkeypatch.setattr(ModelRunner, "read", spy)
    audio = []
    for part in (4, 1_000):
        monkeypatch.setattr(unpadded, "PREFILLED", part)
        engine = BatchedEngine(runner, rows_per_step=2, max_waiting=64, max_wait=600)
        audio.append(collect(engine.synthesize(Utterance(SEGMENTS, CLONED, OPTIONS, seed=7))))
        engine.stop()
    assert reads[0]
    assert not all(reads)
    assert audio[0].shape == audio[1].shape
    assert np.abs(audio[0] - audio[1]).max() < 1e-4
