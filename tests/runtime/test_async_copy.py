"""Steps launched ahead on an asynchronous device: nothing is read or overwritten too early."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch

from tests.support.runtime.async_device import AsyncDevice
from tests.support.runtime.graph_batch import Batch, different_streams
from voxcpm_openai.runtime.device import async_copy
from voxcpm_openai.runtime.device.async_copy import DeviceStep
from voxcpm_openai.runtime.device.cuda_graphs import enforce_eager
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import Stream, alone

Kinds = Callable[[str], VoxCPM]
Joining = Mapping[int, Mapping[int, Stream]]
"""The streams that join, by step and slot."""


def run_ahead(batch: Batch, joining: Joining) -> dict[Stream, torch.Tensor]:
    """Launch each step before the samples of the previous one are read; return all samples."""
    stages = batch.graphs._stages
    output = stages.output
    host = (stages.inputs._host, output._host_stop_flags, output._host_samples)
    device = AsyncDevice(host)
    with pytest.MonkeyPatch.context() as patch, device:
        patch.setattr(async_copy, "_record_event", device.event)
        patches = run_steps(batch, joining)
    return {stream: torch.cat(parts) for stream, parts in patches.items()}


def run_steps(batch: Batch, joining: Joining) -> dict[Stream, list[torch.Tensor]]:
    live: dict[int, Stream] = {}
    patches: dict[Stream, list[torch.Tensor]] = {}
    previous: DeviceStep | None = None
    rows: list[Stream] = []  # of the previous step
    for number in range(60):
        for slot, stream in joining.get(number, {}).items():
            batch.join(slot, stream)
            live[slot], patches[stream] = stream, []
        step = batch.graphs.launch(list(live)) if live else None
        if previous is not None:
            for samples, stream in zip(previous.samples(), rows, strict=True):
                patches[stream].append(torch.from_numpy(samples))
        if step is None:
            return patches
        assert not step.done
        assert len(step.stop_flags()) == len(step.slots)
        previous, rows = step, [live[slot] for slot in step.slots]
        for slot in step.slots:
            if len(patches[live[slot]]) + 1 == live[slot].patches:  # the last one is in flight
                del live[slot]
    raise AssertionError("the streams do not end")


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_streams_that_join_and_leave_equal_each_stream_alone(model: Kinds, kind: str) -> None:
    ours = model(kind)
    first, prompted, short, long, last = different_streams(ours)
    outputs = run_ahead(
        Batch(ours, enforce_eager),
        {0: {0: first}, 2: {1: prompted, 4: short}, 3: {2: long}, 10: {0: last}},
    )
    assert set(outputs) == {first, prompted, short, long, last}
    for stream, samples in outputs.items():
        torch.testing.assert_close(samples, alone(ours, stream).samples, atol=1e-5, rtol=0)
