"""Steps launched ahead on a device that works by itself: nobody reads or writes too early."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch

from tests.runtime import tiny
from tests.runtime.late import LateDevice
from tests.runtime.streams import Stream, alone
from tests.runtime.test_graphs import Batch, mixed
from voxcpm_openai.runtime import landing
from voxcpm_openai.runtime.graphs import eagerly
from voxcpm_openai.runtime.landing import Underway
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

Kinds = Callable[[str], VoxCPM]


Turns = Mapping[int, Mapping[int, Stream]]
"""Who joins: by turn and slot."""


def launched_ahead(batch: Batch, turns: Turns) -> dict[Stream, torch.Tensor]:
    """Launch each step before the sound of the last one is taken; return what is heard."""
    pieces = batch.graphs._pieces
    host = (pieces.orders._here, pieces.landing._stops_here, pieces.landing._samples_here)
    device = LateDevice(host)
    with pytest.MonkeyPatch.context() as patch, device:
        patch.setattr(landing, "_event_behind", device.event)
        made = sounds(batch, turns)
    return {stream: torch.cat(parts) for stream, parts in made.items()}


def sounds(batch: Batch, turns: Turns) -> dict[Stream, list[torch.Tensor]]:
    live: dict[int, Stream] = {}
    made: dict[Stream, list[torch.Tensor]] = {}
    before: Underway | None = None
    heard: list[Stream] = []  # by the rows of the step before
    for turn in range(60):
        for slot, stream in turns.get(turn, {}).items():
            batch.join(slot, stream)
            live[slot], made[stream] = stream, []
        step = batch.graphs.launch(list(live)) if live else None
        if before is not None:
            for samples, stream in zip(before.samples(), heard, strict=True):
                made[stream].append(torch.from_numpy(samples))
        if step is None:
            return made
        assert not step.done
        assert len(step.stops()) == len(step.slots)
        before, heard = step, [live[slot] for slot in step.slots]
        for slot in step.slots:
            if len(made[live[slot]]) + 1 == live[slot].patches:  # the last is under way
                del live[slot]
    raise AssertionError("they never end")


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_who_joins_and_leaves_sounds_as_if_alone(model: Kinds, kind: str) -> None:
    ours = model(kind)
    first, prompted, short, long, last = mixed(ours)
    made = launched_ahead(
        Batch(ours, eagerly),
        {0: {0: first}, 2: {1: prompted, 4: short}, 3: {2: long}, 10: {0: last}},
    )
    assert set(made) == {first, prompted, short, long, last}
    for stream, heard in made.items():
        expected = alone(ours, stream).samples
        torch.testing.assert_close(heard, expected, atol=1e-5, rtol=0)
