"""A row among others equals the row alone, also in a used slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.support.runtime.padded import STEPS, Padded
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import Output, Stream, alone, clip, run


def assert_same(output: Output, expected: Output) -> None:
    torch.testing.assert_close(output.latents, expected.latents, atol=1e-4, rtol=0)
    torch.testing.assert_close(output.samples, expected.samples, atol=1e-4, rtol=0)
    assert output.stop_flags == expected.stop_flags


def different_streams(model: VoxCPM) -> list[Stream]:
    """Return streams that differ in all parameters."""
    prompt = model.encode(clip(0.6, model.encoder_rate))
    return [
        Stream("the hello", steps=5, cfg=1.0, seed=1, patches=9),
        Stream("you and 你好世界 12345", steps=10, cfg=2.0, seed=2, prompt=prompt),
        Stream("x", steps=7, cfg=3.0, seed=3, patches=5),
        Stream("a longer text, which goes on and on and on", steps=10, cfg=1.5, seed=4, patches=11),
        Stream("语音合成", steps=7, cfg=2.5, seed=5),
    ]


@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize(
    "numbers", [(0, 1, 2, 3, 4), (6, 2, 0, 5, 3)], ids=["adjacent", "scattered"]
)
def test_a_row_among_others_equals_the_row_alone(
    model: Callable[[str], VoxCPM], kind: str, numbers: tuple[int, ...]
) -> None:
    ours = model(kind)
    streams = dict(zip(numbers, different_streams(ours), strict=True))
    together = run(ours, ours.new_slots(7, 120), streams)
    for slot, stream in streams.items():
        assert_same(together[slot], alone(ours, stream))


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_in_batches_of_one_size_a_row_is_bit_equal_to_the_row_among_seven_others(
    model: Callable[[str], VoxCPM], kind: str
) -> None:
    ours: Any = Padded(model(kind))
    others = [Stream(f"the {i}", steps=STEPS[i], seed=i, patches=8) for i in (5, 6, 7)]
    streams = dict(enumerate([*different_streams(ours), *others]))
    together = run(ours, ours.full_slots(), streams)
    for slot, stream in streams.items():
        expected = run(ours, ours.full_slots(), {slot: stream})[slot]
        assert torch.equal(together[slot].latents, expected.latents)
        assert torch.equal(together[slot].samples, expected.samples)
        assert together[slot].stop_flags == expected.stop_flags


def test_rows_of_equal_length_need_no_mask(model: Callable[[str], VoxCPM]) -> None:
    ours = model("voxcpm15")
    streams = {slot: Stream("the hello", seed=slot, patches=4) for slot in range(3)}
    slots = ours.new_slots(3, 64)
    together = run(ours, slots, streams)
    assert slots.rows([0, 1, 2]).mask is None
    for slot, stream in streams.items():
        assert_same(together[slot], alone(ours, stream))


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_reset_slot_equals_a_new_one(model: Callable[[str], VoxCPM], kind: str) -> None:
    ours = model(kind)
    slots, new = ours.new_slots(2, 120), ours.new_slots(2, 120)
    run(ours, slots, {0: different_streams(ours)[1], 1: different_streams(ours)[3]})
    slots.base.v[:, 0, :, 3] = torch.nan  # must not reach the next stream
    slots.reset(0)
    slots.reset(1)
    assert torch.equal(slots.patch, new.patch)
    assert all(torch.equal(a, b) for a, b in zip(slots.conv_state, new.conv_state, strict=True))
    assert not slots.base.k.any()
    assert not slots.base.v.any()
    assert not slots.residual.k.any()
    assert not slots.residual.v.any()
    assert slots.used == [0, 0]


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_stream_in_a_used_slot_equals_one_in_a_new_slot(
    model: Callable[[str], VoxCPM], kind: str
) -> None:
    ours = model(kind)
    slots = ours.new_slots(2, 120)
    streams = different_streams(ours)
    run(ours, slots, {0: streams[1], 1: streams[3]})
    outputs = run(ours, slots, {0: streams[0], 1: streams[4]})
    assert_same(outputs[0], alone(ours, streams[0]))
    assert_same(outputs[1], alone(ours, streams[4]))


def test_a_step_does_not_write_to_the_noise(model: Callable[[str], VoxCPM]) -> None:
    ours = model("voxcpm15")
    slots, stream = ours.new_slots(1, 64), Stream("the", patches=1)
    stream.prefill(ours, slots, 0)
    noise = stream.noise(ours).transpose(1, 2).contiguous().transpose(1, 2)  # [1, C, P]
    ours.step(slots, [0], noise, [10], torch.tensor([2.0]))
    assert torch.equal(noise, stream.noise(ours))


def test_a_prefix_equals_its_reference(
    model: Callable[[str], VoxCPM],
) -> None:
    ours = model("voxcpm2")
    assert isinstance(ours, VoxCPM2)
    latents = ours.encode(clip(0.5, ours.encoder_rate), reference=True)
    stream = Stream("the hello 你好", reference=latents, prompt=latents[:2])
    prefixed = replace(stream, reference=ours.prefix(latents))
    assert_same(alone(ours, prefixed), alone(ours, stream))


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_prompt_is_encoded_once_for_all_texts(
    model: Callable[[str], VoxCPM], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = model(kind)
    latents = ours.encode(clip(0.6, ours.encoder_rate))
    prompt, slots, ids = ours.prompt(latents), ours.new_slots(2, 120), ours.tokens("the hello")
    ours.prefill(slots, 0, ids, latents)
    monkeypatch.setattr(ours, "local_encoder", None)  # must not be called again
    ours.prefill(slots, 1, ids, prompt)
    assert torch.equal(slots.residual_hidden[0], slots.residual_hidden[1])


def test_a_full_slot_is_an_error(model: Callable[[str], VoxCPM]) -> None:
    ours = model("voxcpm15")
    stream = Stream("the hello", patches=2)  # the second needs a position for the first
    used = len(ours.tokens(stream.text)) + 1
    slots = ours.new_slots(1, used)
    with pytest.raises(ValueError, match=f"{used} positions"):
        run(ours, slots, {0: stream})
    with pytest.raises(ValueError, match="do not fit"):
        run(ours, slots, {0: replace(stream, text=stream.text + "!")})
    with pytest.raises(ValueError, match="257"):
        ours.new_slots(1, 257)


def test_only_voxcpm2_takes_a_reference(model: Callable[[str], VoxCPM]) -> None:
    ours = model("voxcpm15")
    latents = ours.encode(clip(0.2, ours.encoder_rate))
    with pytest.raises(ValueError, match="prompt"):
        alone(ours, Stream("the", reference=latents))


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_bfloat16_outputs_are_finite(checkpoint: Callable[[str], object], kind: str) -> None:
    from pathlib import Path

    from voxcpm_openai.runtime.device.loader import load_model

    folder = checkpoint(kind)
    assert isinstance(folder, Path)
    ours = load_model(folder, "cpu", "bfloat16")
    streams = dict(enumerate(different_streams(ours)))
    for output in run(ours, ours.new_slots(5, 120), streams).values():
        assert output.latents.dtype == output.samples.dtype == torch.float32
        assert output.latents.isfinite().all()
        assert output.samples.isfinite().all()
