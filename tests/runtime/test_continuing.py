"""A session on a tiny checkpoint equals one request with the segments of all its passages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import TONE
from tests.support.runtime.utterances import DESIGNED, OPTIONS, SEGMENTS
from tests.support.sessions import Sessions, audio, segments_of
from voxcpm_openai import Utterance
from voxcpm_openai.runtime.device.runner import Continuation, ModelRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine import job
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.runner_protocol import Step
from voxcpm_openai.runtime.engine.stream import BatchedStream, StreamContinuation
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.tiny_checkpoints import KINDS

Kinds = Callable[[str], VoxCPM]
TEXT = "Hello there. How are you? I am fine."


class RecordingRunner(ModelRunner):
    """Keeps the latents and the audio of each segment."""

    def __init__(self, model: VoxCPM) -> None:
        super().__init__(model, VoiceCache(model, "tiny"), slots=4, length=256)
        self.patches: dict[int, list[tuple[Tensor, np.ndarray]]] = {}

    def launch(self, slots: Sequence[int]) -> Step:
        step = super().launch(slots)
        assert step.done  # so that its audio may be read twice
        for slot, samples in zip(step.slots, step.samples(), strict=True):
            state = self._slot_states[slot]
            self.patches.setdefault(state.job.index, []).append((state.patches[-1], samples))
        return step

    def made(self) -> list[tuple[Tensor, np.ndarray]]:
        """Return what was made of each segment since the last call, in their order."""
        made = [list(zip(*patches, strict=True)) for _, patches in sorted(self.patches.items())]
        self.patches = {}
        return [(torch.stack(latents), np.concatenate(samples)) for latents, samples in made]


class RecordingEngine(BatchedEngine):
    """Runs one row in each step, so that products have equal sizes; keeps the utterances."""

    def __init__(self, runner: RecordingRunner) -> None:
        super().__init__(runner, rows_per_step=1, max_waiting=64, max_wait=600)
        self.utterances: list[Utterance] = []

    def synthesize(self, utterance: Utterance) -> BatchedStream:
        self.utterances.append(utterance)
        return super().synthesize(utterance)


@pytest.fixture(params=KINDS)
def runner(
    request: pytest.FixtureRequest, model: Kinds, monkeypatch: pytest.MonkeyPatch
) -> RecordingRunner:
    # Whether a failed attempt is retried depends on what was delivered before.
    monkeypatch.setattr(job, "RETRIES", 0)
    return RecordingRunner(model(str(request.param)))


@pytest.fixture
def engine(runner: RecordingRunner) -> Iterator[RecordingEngine]:
    engine = RecordingEngine(runner)
    yield engine
    engine.stop()


@pytest.mark.parametrize(("voice", "clip"), [("mute", False), ("coral", True)])
def test_a_session_equals_one_request_with_its_segments(
    runner: RecordingRunner,
    engine: RecordingEngine,
    tmp_path_factory: pytest.TempPathFactory,
    voice: str,
    clip: bool,
) -> None:
    settings: Settings = replace(TONE, data_dir=tmp_path_factory.mktemp("data"))
    sessions = Sessions(engine, settings, "voxcpm")
    with sessions.assert_freed():
        assert audio(sessions.said(TEXT, voice=voice, seed=7, inference_steps=3))
    parts = runner.made()
    first, segments = engine.utterances[0], segments_of(engine.utterances)
    assert (first.voice.audio is not None) == clip
    assert len(parts) == len(segments) == 3
    list(engine.synthesize(replace(first, segments=segments)))
    whole = runner.made()
    for (latents, samples), (expected, heard) in zip(parts, whole, strict=True):
        assert torch.equal(latents, expected)
        np.testing.assert_array_equal(samples, heard)
    assert not torch.equal(whole[1][0][:4], whole[2][0][:4])


def test_a_continuation_holds_the_text_and_copies_of_the_patches(
    engine: RecordingEngine,
) -> None:
    utterance = Utterance(SEGMENTS[:1], DESIGNED, OPTIONS, seed=3)
    stream = engine.synthesize(utterance)
    list(stream)
    given = stream.continuation
    assert given is not None
    assert isinstance(given.prompt, Continuation)
    assert given == StreamContinuation(given.prompt, 1)
    assert given.prompt.prompt is None  # nobody needed it
    list(engine.synthesize(replace(utterance, continuation=given)))
    prompt = given.prompt.prompt
    assert prompt is not None
    assert prompt.patch.untyped_storage().data_ptr() == given.prompt.patches.data_ptr()
    for tensor in (given.prompt.patches, prompt.tokens, prompt.conv_state):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes  # no part of a larger buffer
    again = engine.synthesize(replace(utterance, continuation=given))
    list(again)
    assert given.prompt.prompt is prompt  # encoded once
    assert again.continuation == StreamContinuation(given.prompt, 2)
