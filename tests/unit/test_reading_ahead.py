"""The prompts of later segments are read beside the rows, so that a long text is not interrupted.

The whole engine on a fake clock: a runner whose steps and prompts take the time of a CPU, in
multiples of the duration of a patch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.clock import Clock
from voxcpm_openai import Segment, Utterance, text
from voxcpm_openai.playout import PlayoutClock
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.job import Job
from voxcpm_openai.runtime.engine.runner_protocol import Step
from voxcpm_openai.testing.mock_runner import CLONE, MockRunner, Script, collect

PATCH_SECONDS = MockRunner.patch_seconds
CHARACTER_SECONDS = 0.065
CLIP_TOKENS = 72
"""Of a clip of 5 s: its words, and its patches."""
PART = 64
"""Tokens of a part of a prompt."""
SENTENCE = "The harbour was quiet at this hour, and the boats lay still on the dark water. "


@dataclass(frozen=True)
class Costs:
    """How long things take, in multiples of a patch: 0.16 s of audio for VoxCPM1.5."""

    one_row: float
    more_rows: float
    reading: float = 0.35
    token: float = 0.01
    jitter: random.Random | None = None
    """Of a machine that others use: three steps in ten take 1.05 to 1.45 times as long."""

    def step(self, rows: int) -> float:
        patches = self.one_row + self.more_rows * (rows - 1)
        if self.jitter is not None and (drawn := self.jitter.random()) > 0.7:
            patches *= 1.05 + 0.4 * (drawn - 0.7) / 0.3
        return patches * PATCH_SECONDS

    def read(self, tokens: int) -> float:
        return (self.reading + self.token * tokens) * PATCH_SECONDS


AT_5_STEPS = Costs(one_row=0.75, more_rows=0.4)
"""One row keeps up, two rows do not."""
BARELY = Costs(one_row=0.95, more_rows=0.5)
TOO_SLOW = Costs(one_row=1.2, more_rows=0.2)


@dataclass
class Heard:
    """What a listener hears: seconds of audio and, after its start, of silence between.

    ``last_silent``: the seconds of audio before the last silence.
    """

    first: float | None = None
    audio: float = 0.0
    silent: list[float] = field(default_factory=list)
    last_silent: float = 0.0


class PacedRunner(MockRunner):
    """Advances a clock.

    ``part_tokens``: tokens of each part; ``unprefilled``: those left to a step.
    """

    def __init__(self, clock: Clock, costs: Costs, slots: int = 8) -> None:
        super().__init__(slots)
        self.clock, self.costs = clock, costs
        self.left: dict[int, int] = {}
        self.part_tokens: list[int] = []
        self.unprefilled: list[int] = []
        self.widths: list[int] = []

    def prepare_segment(self, utterance: Utterance, segment: Segment) -> Script:
        patches = math.ceil(len(segment.text) * CHARACTER_SECONDS / PATCH_SECONDS)
        return Script({"length": patches}, CLIP_TOKENS + len(segment.text) // 4)

    def admit(self, slot: int, job: Job) -> bool:
        super().admit(slot, job)
        self.left[slot] = job.prepared.tokens
        return True

    def read(self, slot: int, *, whole: bool) -> bool:
        tokens = self.left[slot] if whole else min(PART, self.left[slot])
        self.left[slot] -= tokens
        self.clock.now += self.costs.read(tokens)
        self.part_tokens.append(tokens)
        return not self.left[slot]

    def launch(self, slots: Sequence[int]) -> Step:
        self.unprefilled += [self.left[slot] for slot in slots if self.left[slot]]
        self.widths.append(len(slots))
        self.clock.now += self.costs.step(len(slots))
        return self.step(slots)


@contextmanager
def engine_of(costs: Costs) -> Iterator[tuple[BatchedEngine, PacedRunner]]:
    clock = Clock()
    runner = PacedRunner(clock, costs)
    engine = BatchedEngine(runner, rows_per_step=8, max_waiting=64, max_wait=1e9, clock=clock)
    try:
        yield engine, runner
    finally:
        engine.stop()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> dict[PlayoutClock, Heard]:
    """What each listener hears, by its clock."""
    all_heard: dict[PlayoutClock, Heard] = {}
    deliver = PlayoutClock.deliver

    def record(self: PlayoutClock, seconds: float, now: float) -> None:
        one = all_heard.setdefault(self, Heard())
        if one.first is None:
            one.first = now
        elif now > self.deadline:
            one.silent.append(now - self.deadline)
            one.last_silent = one.audio
        one.audio += seconds
        deliver(self, seconds, now)

    monkeypatch.setattr(PlayoutClock, "deliver", record)
    return all_heard


def utterance(characters: int) -> Utterance:
    said = (SENTENCE * (characters // len(SENTENCE) + 1))[:characters]
    return Utterance(text.split(said), CLONE, seed=7)


@pytest.mark.parametrize("costs", [AT_5_STEPS, BARELY])
@pytest.mark.parametrize("characters", [1_600, 4_096])
def test_a_long_text_is_not_silent_once_one_row_keeps_up(
    characters: int, costs: Costs, heard: dict[PlayoutClock, Heard]
) -> None:
    with engine_of(costs) as (engine, runner):
        said = utterance(characters)
        collect(engine.synthesize(said))
    (one,) = heard.values()
    assert one.silent == []
    whole = CLIP_TOKENS + len(said.segments[0].text) // 4
    assert runner.part_tokens[0] == whole, "the first segment is read at once: a listener waits"
    assert max(runner.part_tokens[1:]) <= PART, "the others are read in parts"
    assert runner.unprefilled == []
    assert len(said.segments) > characters / 400


@pytest.mark.parametrize("seed", range(3))
def test_steps_that_now_and_then_take_longer_are_hardly_heard(
    seed: int, heard: dict[PlayoutClock, Heard]
) -> None:
    costs = Costs(0.83, 0.3, token=0.008, jitter=random.Random(seed))
    with engine_of(costs) as (engine, _):
        collect(engine.synthesize(utterance(4_096)))
    (one,) = heard.values()
    assert sum(one.silent) < 3 * PATCH_SECONDS


def test_where_only_several_rows_keep_up_the_first_segment_alone_is_interrupted(
    heard: dict[PlayoutClock, Heard],
) -> None:
    """A row takes 1.1 times as long as its audio, two together 0.73 times."""
    said = utterance(4_096)
    with engine_of(Costs(1.1, 0.35)) as (engine, runner):
        collect(engine.synthesize(said))
    (one,) = heard.values()
    patches = math.ceil(len(said.segments[0].text) * CHARACTER_SECONDS / PATCH_SECONDS)
    assert one.last_silent < patches * PATCH_SECONDS
    assert sum(one.silent) < 0.4 * patches * PATCH_SECONDS
    assert max(runner.widths) >= 5, "many rows are stepped while there is audio for it"


def test_the_first_patch_waits_for_nothing_else(heard: dict[PlayoutClock, Heard]) -> None:
    with engine_of(AT_5_STEPS) as (engine, runner):
        begun = runner.clock.now
        said = utterance(1_600)
        collect(engine.synthesize(said))
    (one,) = heard.values()
    tokens = CLIP_TOKENS + len(said.segments[0].text) // 4
    assert one.first == pytest.approx(begun + AT_5_STEPS.read(tokens) + AT_5_STEPS.step(1))


def test_a_text_that_does_not_keep_up_is_made_with_many_rows(
    heard: dict[PlayoutClock, Heard],
) -> None:
    """Six rows take 2.2 times as long as a patch: the text ends long before its audio."""
    with engine_of(TOO_SLOW) as (engine, runner):
        begun = runner.clock.now
        collect(engine.synthesize(utterance(1_600)))
        took = runner.clock.now - begun
    (one,) = heard.values()
    assert max(runner.widths) >= 5
    assert took < one.audio
