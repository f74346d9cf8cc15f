"""Pieces over fixed buffers: repeated blindly they make what each row makes by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.runtime import tiny
from tests.runtime.clips import clip
from tests.runtime.streams import Heard, Stream, alone, run
from tests.runtime.tape import HostError, Recorder
from voxcpm_openai import InvalidRequest, Samples, Segment, Utterance, Voice
from voxcpm_openai.runtime import graphs
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.graphs import Capture, Graphs, eagerly
from voxcpm_openai.runtime.model.noise import Noise
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.pieces import Hear, Speak
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.runtime.runner import ModelRunner
from voxcpm_openai.runtime.unread import Unread

Kinds = Callable[[str], VoxCPM]


@dataclass(frozen=True)
class Counted(Stream):
    """A stream whose noise is that of its seed, as the graphs draw it."""

    def noise(self, model: VoxCPM) -> torch.Tensor:
        frames, channels = model.latent_shape
        numbers = torch.arange(self.patches)  # [T]
        seeds = torch.full_like(numbers, self.seed)
        return Noise(model.device)(seeds, numbers, channels, frames)  # [T, C, P]


class Batch:
    """Streams that join and leave a batch of graphs."""

    def __init__(self, model: VoxCPM, capture: Capture, slots: int = 6, length: int = 120) -> None:
        self.model = model
        self.slots = model.new_slots(slots + 1, length)
        self.graphs = Graphs(model, self.slots, capture)
        self.live: dict[int, Stream] = {}
        self.made: dict[Stream, list[tuple[torch.Tensor, bool, torch.Tensor]]] = {}
        self.read: dict[int, Unread] = {}

    def join(self, slot: int, stream: Stream) -> None:
        parts = stream.arrive(self.model, self.slots, slot)
        self.read[slot] = Unread(parts)
        self.graphs.begin(slot, parts, seed=stream.seed, cfg=stream.cfg, steps=stream.steps)
        self.live[slot] = stream
        self.made[stream] = []

    def step(self, slots: Sequence[int] | None = None) -> list[int]:
        """Make a patch of each that is read; return these."""
        slots = list(self.live) if slots is None else slots
        step = self.graphs.launch(slots)
        latents = self.graphs.latents.clone()  # [B or more, P, C]
        stops, samples = step.stops(), step.samples()
        for row, slot in enumerate(step.slots):
            parts = self.made[self.live[slot]]
            parts.append((latents[row], stops[row], torch.tensor(samples[row])))
            if len(parts) == self.live[slot].patches:
                del self.live[slot]
        return list(step.slots)

    def heard(self, stream: Stream) -> Heard:
        latents, stops, samples = zip(*self.made[stream], strict=True)
        return Heard(torch.stack(latents), list(stops), torch.cat(samples))


class Changes(TorchDispatchMode):
    """Counts the operators that change a tensor: on a GPU each is a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function._schema.is_mutable
        return function(*args, **(kwargs or {}))


def assert_same(heard: Heard, expected: Heard, atol: float = 1e-5) -> None:
    torch.testing.assert_close(heard.latents, expected.latents, atol=atol, rtol=0)
    torch.testing.assert_close(heard.samples, expected.samples, atol=atol, rtol=0)
    assert heard.stops == expected.stops


def mixed(model: VoxCPM) -> list[Stream]:
    """Streams that differ in everything."""
    prompt = model.encode(clip(0.6, model.encoder_rate))
    return [
        Counted("the hello", steps=5, cfg=1.0, seed=1, patches=9),
        Counted("you and 你好世界 12345", steps=10, cfg=2.0, seed=2, prompt=prompt),
        Counted("x", steps=7, cfg=3.0, seed=2**62, patches=5),
        Counted("a longer text, which goes on and on and on", cfg=1.5, seed=4, patches=11),
        Counted("语音合成", steps=2, cfg=2.5, seed=5, patches=8),
    ]


@pytest.fixture(autouse=True)
def _short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tests' short streams come from one span into the next."""
    monkeypatch.setattr(graphs, "SPANS", (16, 32, 64))


@pytest.mark.parametrize("capture", [eagerly, Recorder()], ids=["eager", "replayed"])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_rows_that_join_and_leave_equal_each_row_alone(
    model: Kinds, kind: str, capture: Capture
) -> None:
    ours = model(kind)
    batch, streams = Batch(ours, capture), mixed(ours)
    batch.join(4, streams[0])
    batch.step()
    batch.join(1, streams[1])
    batch.join(5, streams[2])
    batch.step()
    batch.step([5, 1])  # the one in slot 4 waits
    batch.join(0, streams[3])
    for turn in range(30):
        if turn == 5:
            batch.join(5, streams[4])  # where another was before
        if not batch.live:
            break
        batch.step()
    for stream in streams:
        assert_same(batch.heard(stream), alone(ours, stream))


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_fixed_step_equals_the_exact_one(model: Kinds, kind: str) -> None:
    """Three rows, filled up to four, against a batch of three."""
    ours = model(kind)
    streams = dict(enumerate(mixed(ours)[:3]))
    batch, exact = Batch(ours, eagerly), run(ours, ours.new_slots(3, 120), streams)
    for slot, stream in streams.items():
        batch.join(slot, stream)
    while batch.live:
        batch.step()
    for slot, stream in streams.items():
        assert_same(batch.heard(stream), exact[slot])


@pytest.mark.parametrize("capture", [eagerly, Recorder()], ids=["eager", "replayed"])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_prompt_is_read_in_chunks_while_the_others_speak(
    model: Kinds, kind: str, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text and clip, over steps that have room for five tokens; one comes behind the other."""
    monkeypatch.setattr(graphs, "TOKENS", 5)
    ours = model(kind)
    batch = Batch(ours, capture)
    first, *joining = mixed(ours)[:3]
    batch.join(0, first)
    spoke = []
    for turn in range(30):
        if turn == 2:
            for slot, stream in enumerate(joining, 3):
                batch.join(slot, stream)
        spoke.append(batch.step())
        if not batch.live:
            break
    for stream in (first, *joining):
        assert_same(batch.heard(stream), alone(ours, stream))
    firsts = {slot: next(n for n, row in enumerate(spoke) if slot in row) for slot in (0, 3, 4)}
    steps = {slot: -(-len(read) // 5) for slot, read in batch.read.items()}
    # The last of a prompt may leave room for the first of the next one.
    assert firsts[3] == 2 + steps[3] - 1
    assert firsts[3] <= firsts[4] <= firsts[3] + steps[4]
    assert all(0 in row for row in spoke[firsts[0] : firsts[0] + first.patches])


def test_many_short_texts_are_read_in_one_step(model: Kinds) -> None:
    ours = model("voxcpm2")
    batch = Batch(ours, eagerly)
    streams = [Counted("the", seed=seed, patches=3) for seed in range(6)]
    for slot, stream in enumerate(streams):
        batch.join(slot, stream)
    assert batch.step() == list(range(6))
    while batch.live:
        batch.step()
    for stream in streams:
        assert_same(batch.heard(stream), alone(ours, stream))


def test_a_reference_is_read_in_front_of_the_text(model: Kinds) -> None:
    ours = model("voxcpm2")
    reference = ours.encode(clip(0.6, ours.encoder_rate), reference=True)  # [T, P, C]
    batch = Batch(ours, Recorder())
    streams = [
        Counted("the hello", reference=reference, patches=5),
        Counted("the hello", reference=ours.prefix(reference), patches=5, seed=2),
    ]
    for slot, stream in enumerate(streams):
        batch.join(slot, stream)
    while batch.live:
        batch.step()
    for stream in streams:
        assert_same(batch.heard(stream), alone(ours, stream))


def test_sound_is_still_there_when_the_next_step_is_launched(model: Kinds) -> None:
    ours = model("voxcpm15")
    batch, stream = Batch(ours, eagerly), Counted("the hello", patches=4)
    batch.join(0, stream)
    sounds: list[torch.Tensor] = []
    before = None
    for _ in range(stream.patches):
        step = batch.graphs.launch([0])
        if before is not None:
            sounds += map(torch.tensor, before.samples())
        step.stops()
        before = step
    assert before is not None
    sounds += map(torch.tensor, before.samples())
    assert before.done
    torch.testing.assert_close(torch.cat(sounds), alone(ours, stream).samples, atol=1e-5, rtol=0)


def test_tokens_are_taken_in_order_as_many_as_there_is_room_for() -> None:
    patches = torch.arange(6.0).view(3, 2)  # [T, W]
    unread = Unread([[1, 2, 3], patches, [], [9]])
    assert len(unread) == 7
    assert unread.take(2) == [[1, 2]]
    words, sound = unread.take(3)
    assert words == [3]
    assert torch.equal(torch.as_tensor(sound), patches[:2])
    assert len(unread) == 2
    sound, words = unread.take(9)
    assert torch.equal(torch.as_tensor(sound), patches[2:])
    assert words == [9]
    assert (len(unread), unread.take(1)) == (0, [])


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_newcomer_keeps_the_device_busy_with_few_operators(model: Kinds, kind: str) -> None:
    """What is done for it between two steps holds up the others."""
    ours = model(kind)
    prompt = ours.prompt(ours.encode(clip(0.6, ours.encoder_rate)))
    batch, stream = Batch(ours, eagerly), Counted("the hello")
    with Changes() as changes:
        parts = ours.arrive(batch.slots, 0, ours.tokens(stream.text), prompt)
        batch.graphs.begin(0, parts, seed=1, cfg=2.0, steps=10)
    assert 6 <= changes.count <= 12


def test_each_piece_is_captured_once_and_replayed_ever_after(model: Kinds) -> None:
    ours, recorder = model("voxcpm15"), Recorder()
    batch = Batch(ours, recorder)
    batch.join(0, Counted("the", patches=6))
    batch.step()  # its text is read, nothing is to be heard yet
    assert (recorder.captured, recorder.replayed) == (2, 2)
    batch.step()
    assert (recorder.captured, recorder.replayed) == (3, 4)
    batch.join(1, Counted("the", patches=4, seed=9))
    batch.step()  # a text beside a row; two rows
    assert (recorder.captured, recorder.replayed) == (5, 6)
    while batch.live:
        batch.step()
    # Two rows heard, and again one.
    assert (recorder.captured, recorder.replayed) == (6, 12)


def test_a_capture_touches_no_row(model: Kinds) -> None:
    ours = model("voxcpm2")
    streams = [Counted("the hello", seed=1), Counted("x", seed=2)]
    batch = Batch(ours, Recorder())
    for slot, stream in enumerate(streams):
        batch.join(slot, stream)
    for _ in range(12):
        batch.graphs._captured.clear()
        batch.step()
    for stream in streams:
        assert_same(batch.heard(stream), alone(ours, stream))


def test_the_spare_slot_stays_at_its_start(model: Kinds) -> None:
    ours = model("voxcpm15")
    batch = Batch(ours, eagerly)
    for slot in range(3):
        batch.join(slot, Counted("the", seed=slot, patches=5))
    while batch.live:
        batch.step()
    assert batch.slots.positions[-1] == 0
    assert not batch.slots.base.k[:, -1, :, 1:].any()
    assert batch.slots.base.k[:, -1].isfinite().all()
    assert batch.slots.positions[0] == batch.slots.used[0]


def test_small_batches_are_captured_first_and_only_for_so_long(model: Kinds) -> None:
    batch = Batch(model("voxcpm15"), eagerly, slots=5, length=40)
    assert batch.graphs.prepare(seconds=-1) == 0
    assert batch.graphs.prepare(seconds=600) == 1 + 4 * (1 + 2 * 3)
    seen = list(batch.graphs._captured)  # of 1, 2, 4, 5 rows; of 16, 32, 40 positions
    assert seen[:4] == [Hear(0, 64, 16), Speak(1, 9), Hear(1, 0, 16), Hear(1, 64, 16)]
    assert seen[-1] == Hear(5, 64, 40)


def test_sizes_go_up_to_what_there_is() -> None:
    assert graphs._up_to(graphs.ROWS, 1) == (1,)
    assert graphs._up_to(graphs.ROWS, 20) == (1, 2, 4, 8, 16, 20)
    assert graphs._up_to(graphs.ROWS, 160)[-4:] == (112, 120, 128, 160)
    assert graphs._least((1, 2, 4), 3) == 4
    assert graphs._least((1, 2, 4), 4) == 4


def test_where_no_memory_is_left_pieces_run_without_a_graph(
    model: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    batch = Batch(model("voxcpm15"), recorder)
    monkeypatch.setattr(batch.graphs, "_has_room", lambda: False)
    stream = Counted("the", patches=3)
    batch.join(0, stream)
    while batch.live:
        batch.step()
    assert recorder.captured == 0
    assert_same(batch.heard(stream), alone(model("voxcpm15"), stream))


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_engine_says_the_same_with_graphs(model: Kinds, kind: str) -> None:
    """Segments that go on from the first one's patches, too."""
    ours = model(kind)
    segments = (Segment("Hello there."), Segment("How are you?"), Segment("Fine."))
    utterance = Utterance(segments, Voice("nobody", "Nobody"), {"inference_steps": 3}, seed=3)
    spoken: list[Samples] = []
    for capture in (None, Recorder()):
        runner = ModelRunner(ours, Prompts(ours, kind), slots=3, length=256, capture=capture)
        assert runner.slots == 3
        engine = BatchedEngine(runner, rows_per_step=3, max_waiting=9, max_wait=600)
        spoken.append(np.concatenate([chunk.samples for chunk in engine.speak(utterance)]))
        engine.stop()
    assert spoken[0].shape == spoken[1].shape
    assert np.abs(spoken[0] - spoken[1]).max() < 1e-4
    assert np.abs(spoken[0]).max() > 0.01


def test_a_full_slot_says_so(model: Kinds) -> None:
    ours = model("voxcpm15")
    used = len(ours.tokens("the hello")) + 1
    batch = Batch(ours, eagerly, length=used)
    batch.join(0, Counted("the hello", patches=2))
    batch.step()
    with pytest.raises(ValueError, match=f"{used} positions"):
        batch.step()


def test_more_steps_than_the_solver_may_have_are_refused(model: Kinds) -> None:
    batch = Batch(model("voxcpm15"), eagerly)
    batch.join(0, Counted("the", steps=100, patches=1))
    batch.step()
    with pytest.raises(InvalidRequest, match="inference_steps = 101"):
        batch.join(0, Counted("the", steps=101))


@pytest.mark.parametrize(
    "asks",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: x[x > 0],
        lambda x: bool(x.any()),
        lambda x: x + torch.tensor([1.0]),
        lambda x: x.to("cpu"),
        lambda x: x.cpu(),
        lambda x: x + torch.arange(3),
    ],
)
def test_the_stand_in_lets_nothing_ask_the_host(asks: Callable[[torch.Tensor], object]) -> None:
    def piece() -> None:
        asks(torch.ones(3))

    with pytest.raises(HostError):
        Recorder()(piece)
