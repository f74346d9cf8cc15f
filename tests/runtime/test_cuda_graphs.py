"""Stages over fixed buffers, eager and replayed: each row equals the same row alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.support.runtime.graph_batch import Batch, Counted, assert_same, different_streams
from tests.support.runtime.tape import Recorder
from voxcpm_openai import InvalidRequest, Samples, Segment, Utterance, Voice
from voxcpm_openai.runtime.device import cuda_graphs
from voxcpm_openai.runtime.device.capture import Capture, enforce_eager
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import alone, clip, run

Kinds = Callable[[str], VoxCPM]


@pytest.fixture(autouse=True)
def _short_kv_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests' short streams cross several lengths."""
    monkeypatch.setattr(cuda_graphs, "KV_LENGTHS", (16, 32, 64))


@pytest.mark.parametrize("capture", [enforce_eager, Recorder()], ids=["eager", "replayed"])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_rows_that_join_and_leave_equal_each_row_alone(
    model: Kinds, kind: str, capture: Capture
) -> None:
    ours = model(kind)
    batch, streams = Batch(ours, capture), different_streams(ours)
    batch.join(4, streams[0])
    batch.step()
    batch.join(1, streams[1])
    batch.join(5, streams[2])
    batch.step()
    batch.step([5, 1])  # slot 4 is left out of this step
    batch.join(0, streams[3])
    for step in range(30):
        if step == 5:
            batch.join(5, streams[4])  # a used slot
        if not batch.live:
            break
        batch.step()
    for stream in streams:
        assert_same(batch.output(stream), alone(ours, stream))


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_padded_batch_equals_an_unpadded_one(model: Kinds, kind: str) -> None:
    """Three rows padded to four, against a batch of three."""
    ours = model(kind)
    streams = dict(enumerate(different_streams(ours)[:3]))
    batch, unpadded = Batch(ours, enforce_eager), run(ours, ours.new_slots(3, 120), streams)
    for slot, stream in streams.items():
        batch.join(slot, stream)
    batch.run()
    for slot, stream in streams.items():
        assert_same(batch.output(stream), unpadded[slot])


@pytest.mark.parametrize("capture", [enforce_eager, Recorder()], ids=["eager", "replayed"])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_prompt_is_prefilled_in_chunks_beside_the_others_patches(
    model: Kinds, kind: str, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text and clip, over steps that prefill five tokens; the second prompt follows the first."""
    monkeypatch.setattr(cuda_graphs, "MAX_PREFILL_TOKENS", 5)
    ours = model(kind)
    batch = Batch(ours, capture)
    first, *joining = different_streams(ours)[:3]
    batch.join(0, first)
    stepped = []  # the slots with a patch, by step
    for step in range(30):
        if step == 2:
            for slot, stream in enumerate(joining, 3):
                batch.join(slot, stream)
        stepped.append(batch.step())
        if not batch.live:
            break
    for stream in (first, *joining):
        assert_same(batch.output(stream), alone(ours, stream))
    begun = {
        slot: next(n for n, slots in enumerate(stepped) if slot in slots) for slot in (0, 3, 4)
    }
    steps = {slot: -(-tokens // 5) for slot, tokens in batch.prompt_tokens.items()}
    # The last chunk of a prompt may leave room for the first tokens of the next one.
    assert begun[3] == 2 + steps[3] - 1
    assert begun[3] <= begun[4] <= begun[3] + steps[4]
    assert all(0 in slots for slots in stepped[begun[0] : begun[0] + first.patches])


def test_many_short_texts_are_prefilled_in_one_step(model: Kinds) -> None:
    ours = model("voxcpm2")
    batch = Batch(ours, enforce_eager)
    streams = [Counted("the", seed=seed, patches=3) for seed in range(6)]
    for slot, stream in enumerate(streams):
        batch.join(slot, stream)
    assert batch.step() == list(range(6))
    batch.run()
    for stream in streams:
        assert_same(batch.output(stream), alone(ours, stream))


def test_a_reference_is_prefilled_before_the_text(model: Kinds) -> None:
    ours = model("voxcpm2")
    reference = ours.encode(clip(0.6, ours.encoder_rate), reference=True)  # [T, P, C]
    batch = Batch(ours, Recorder())
    streams = [
        Counted("the hello", reference=reference, patches=5),
        Counted("the hello", reference=ours.prefix(reference), patches=5, seed=2),
    ]
    for slot, stream in enumerate(streams):
        batch.join(slot, stream)
    batch.run()
    for stream in streams:
        assert_same(batch.output(stream), alone(ours, stream))


def test_samples_can_be_read_after_the_next_launch(model: Kinds) -> None:
    ours = model("voxcpm15")
    batch, stream = Batch(ours, enforce_eager), Counted("the hello", patches=4)
    batch.join(0, stream)
    samples: list[torch.Tensor] = []
    previous = None
    for _ in range(stream.patches):
        step = batch.graphs.launch([0])
        if previous is not None:
            samples += map(torch.tensor, previous.samples())
        step.stop_flags()
        previous = step
    assert previous is not None
    samples += map(torch.tensor, previous.samples())
    assert previous.done
    torch.testing.assert_close(torch.cat(samples), alone(ours, stream).samples, atol=1e-5, rtol=0)


def test_a_capture_changes_no_row(model: Kinds) -> None:
    ours = model("voxcpm2")
    streams = [Counted("the hello", seed=1), Counted("x", seed=2)]
    batch = Batch(ours, Recorder())
    for slot, stream in enumerate(streams):
        batch.join(slot, stream)
    for _ in range(12):
        batch.graphs._graphs._captured.clear()
        batch.step()
    for stream in streams:
        assert_same(batch.output(stream), alone(ours, stream))


def test_the_padding_slot_never_advances(model: Kinds) -> None:
    ours = model("voxcpm15")
    batch = Batch(ours, enforce_eager)
    for slot in range(3):
        batch.join(slot, Counted("the", seed=slot, patches=5))
    batch.run()
    assert batch.slots.positions[-1] == 0
    assert not batch.slots.base.k[:, -1, :, 1:].any()
    assert batch.slots.base.k[:, -1].isfinite().all()
    assert batch.slots.positions[0] == batch.slots.used[0]


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_engine_returns_the_same_audio_with_graphs(model: Kinds, kind: str) -> None:
    """Also for segments that continue from the first one's patches."""
    ours, recorder = model(kind), Recorder()
    segments = (Segment("Hello there."), Segment("How are you?"), Segment("Fine."))
    utterance = Utterance(segments, Voice("nobody", "Nobody"), {"inference_steps": 3}, seed=3)
    unpadded, replayed = (
        ModelRunner(ours, VoiceCache(ours, kind), slots=3, length=256, capture=capture)
        for capture in (None, recorder)
    )
    assert unpadded.slots == replayed.slots == 3
    expected, eager = audio_of(unpadded, utterance), audio_of(replayed, utterance)
    assert recorder.captured == 0, "captured while streams wait"
    while replayed.work_idle():
        pass
    assert recorder.captured > 3
    again = audio_of(replayed, utterance)
    assert recorder.replayed > 10
    for output in (eager, again):
        assert output.shape == expected.shape
        assert np.abs(output - expected).max() < 1e-4
    assert np.abs(expected).max() > 0.01


def audio_of(runner: ModelRunner, utterance: Utterance) -> Samples:
    """Return the audio of an utterance from an engine of its own."""
    engine = BatchedEngine(runner, rows_per_step=3, max_waiting=9, max_wait=600)
    samples = np.concatenate([chunk.samples for chunk in engine.synthesize(utterance)])
    engine.stop()
    return samples


def test_a_full_slot_is_an_error(model: Kinds) -> None:
    ours = model("voxcpm15")
    used = len(ours.tokens("the hello")) + 1
    batch = Batch(ours, enforce_eager, length=used)
    batch.join(0, Counted("the hello", patches=2))
    batch.step()
    with pytest.raises(ValueError, match=f"{used} positions"):
        batch.step()


def test_more_than_100_solver_steps_are_refused(model: Kinds) -> None:
    batch = Batch(model("voxcpm15"), enforce_eager)
    batch.join(0, Counted("the", steps=100, patches=1))
    batch.step()
    with pytest.raises(InvalidRequest, match="inference_steps = 101"):
        batch.join(0, Counted("the", steps=101))
