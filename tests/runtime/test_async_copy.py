"""Steps launched ahead on an asynchronous device: nothing is read or overwritten too early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext

import pytest
import torch

from tests.support.runtime.async_device import SIDE, STEPS, AsyncDevice, AsyncSideStream
from tests.support.runtime.graph_batch import Batch, Counted, different_streams
from voxcpm_openai.runtime.device import async_copy
from voxcpm_openai.runtime.device.async_copy import AsyncCopy, DeviceStep
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import Stream, alone

Kinds = Callable[[str], VoxCPM]
Joining = Mapping[int, Mapping[int, Stream]]
"""The streams that join, by step and slot."""
Spoil = Callable[[pytest.MonkeyPatch, Batch, AsyncSideStream], None]


def run_ahead(
    batch: Batch, joining: Joining, eager: str | None = None, spoil: Spoil | None = None
) -> dict[Stream, torch.Tensor]:
    """Launch each step before the samples of the previous one are read; return all samples.

    ``eager``: the stream that is early.  ``spoil`` leaves something out.
    """
    stages = batch.graphs._stages
    output = stages.output
    host = (stages.inputs._host, output._host_stop_flags, output._host_samples)
    device = AsyncDevice(host, eager)
    side = AsyncSideStream(device)
    with pytest.MonkeyPatch.context() as patch, device:
        patch.setattr(async_copy, "_record_event", device.event)
        patch.setattr(stages, "vae_stream", side)
        patch.setattr(batch.slots, "on_vae_stream", side.after_steps)
        if spoil is not None:
            spoil(patch, batch, side)
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


@pytest.mark.parametrize("eager", [None, STEPS, SIDE])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_streams_that_join_and_leave_equal_each_stream_alone(
    model: Kinds, kind: str, eager: str | None
) -> None:
    ours = model(kind)
    first, prompted, short, long, last = different_streams(ours)
    outputs = run_ahead(
        Batch(ours, enforce_eager),
        {0: {0: first}, 2: {1: prompted, 4: short}, 3: {2: long}, 10: {0: last}},
        eager,
    )
    assert set(outputs) == {first, prompted, short, long, last}
    for stream, samples in outputs.items():
        torch.testing.assert_close(samples, alone(ours, stream).samples, atol=1e-5, rtol=0)


def in_a_used_slot() -> tuple[Joining, list[Stream]]:
    """Return streams of which one takes a slot while the last samples of another are in flight."""
    first, second, beside = (
        Counted("the", seed=1, patches=4),
        Counted("x", seed=2, patches=5),
        Counted("the hello", seed=3, patches=12),
    )
    return {0: {0: first, 1: beside}, 4: {0: second}}, [first, second, beside]


@pytest.mark.parametrize("eager", [None, STEPS, SIDE])
def test_a_slot_can_be_taken_while_its_last_samples_are_in_flight(
    model: Kinds, eager: str | None
) -> None:
    ours = model("voxcpm2")
    joining, streams = in_a_used_slot()
    outputs = run_ahead(Batch(ours, enforce_eager), joining, eager)
    for stream in streams:
        expected = alone(ours, stream).samples
        torch.testing.assert_close(outputs[stream], expected, atol=1e-5, rtol=0)


def no_wait_for_the_latents(patch: pytest.MonkeyPatch, batch: Batch, side: AsyncSideStream) -> None:
    """The VAE does not wait for the acoustic stage."""
    queue = side._device.queue

    def skip(work: Callable[[], None]) -> None:
        if getattr(work, "__name__", "") != "synchronize" or side._device.current != SIDE:
            queue(work)

    patch.setattr(side._device, "queue", skip)


def no_wait_for_the_vae(patch: pytest.MonkeyPatch, _: Batch, side: AsyncSideStream) -> None:
    """The acoustic stage does not wait until its last latents are taken."""
    patch.setattr(side, "hold_steps", lambda: None)


def one_buffer(patch: pytest.MonkeyPatch, batch: Batch, _: AsyncSideStream) -> None:
    """The VAE reads the latents where the next acoustic stage writes them."""
    patch.setattr(batch.graphs._stages, "_taken_latents", batch.graphs._stages.latents)


def one_buffer_of_slots(patch: pytest.MonkeyPatch, batch: Batch, _: AsyncSideStream) -> None:
    """The VAE reads its slots where the next step's are written."""
    stages = batch.graphs._stages
    patch.setattr(stages, "_taken_slots", stages._latent_slots)


def marked_too_early(patch: pytest.MonkeyPatch, batch: Batch, side: AsyncSideStream) -> None:
    """The mark comes before the latents are taken."""
    stages = batch.graphs._stages
    mark, take = side.mark, stages.take_latents
    patch.setattr(stages, "take_latents", lambda: (mark(), take()))
    patch.setattr(side, "mark", lambda: None)


def state_on_the_steps_stream(patch: pytest.MonkeyPatch, batch: Batch, _: AsyncSideStream) -> None:
    """A new stream's state is written while the old one's is still used."""
    patch.setattr(batch.slots, "on_vae_stream", nullcontext)


def samples_on_the_steps_stream(
    patch: pytest.MonkeyPatch, batch: Batch, side: AsyncSideStream
) -> None:
    """The samples are copied, and their event is recorded, where the VAE does not run."""
    output, device = batch.graphs._stages.output, side._device
    copy = output.copy_samples

    def elsewhere(rows: int) -> AsyncCopy:
        device.current = STEPS
        copied = copy(rows)
        device.current = SIDE
        return copied

    patch.setattr(output, "copy_samples", elsewhere)


SPOILT = {
    no_wait_for_the_latents: SIDE,
    no_wait_for_the_vae: STEPS,
    one_buffer: STEPS,
    one_buffer_of_slots: STEPS,
    marked_too_early: STEPS,
    state_on_the_steps_stream: STEPS,
    samples_on_the_steps_stream: STEPS,
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_the_device_shows_what_is_left_out(model: Kinds, spoil: Spoil) -> None:
    ours = model("voxcpm2")
    joining, streams = in_a_used_slot()
    outputs = run_ahead(Batch(ours, enforce_eager), joining, SPOILT[spoil], spoil)
    wrong = [
        float((outputs[stream] - alone(ours, stream).samples).abs().max()) for stream in streams
    ]
    assert max(wrong) > 1e-3
