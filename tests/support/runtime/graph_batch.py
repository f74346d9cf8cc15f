"""Streams that join and leave a batch of graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from voxcpm_openai.runtime.device.capture import Capture, Run
from voxcpm_openai.runtime.device.cuda_graphs import GraphRunner, Graphs
from voxcpm_openai.runtime.device.stages import Stage
from voxcpm_openai.runtime.model.noise import Noise
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing.streams import Output, Stream, clip


@dataclass(frozen=True)
class Counted(Stream):
    """A stream with the counter-based noise of its seed, as the graphs draw it."""

    def noise(self, model: VoxCPM) -> torch.Tensor:
        frames, channels = model.latent_shape
        numbers = torch.arange(self.patches)  # [T]
        seeds = torch.full_like(numbers, self.seed)
        return Noise(model.device)(seeds, numbers, channels, frames)  # [T, C, P]


class CapturingGraphs(Graphs):
    """Captures graphs at first use, so that short streams replay all their stages."""

    def run_of(self, stage: Stage) -> Run:
        self.capture(stage)
        return super().run_of(stage)


class Batch:
    """A ``GraphRunner`` that captures at first use, and the streams in its slots."""

    def __init__(self, model: VoxCPM, capture: Capture, slots: int = 6, length: int = 120) -> None:
        self.model = model
        self.slots = model.new_slots(slots + 1, length)
        self.graphs = GraphRunner(model, self.slots, capture)
        self.graphs._graphs = CapturingGraphs(self.graphs._stages, capture, model.device)
        self.live: dict[int, Stream] = {}
        self.patches: dict[Stream, list[tuple[torch.Tensor, bool, torch.Tensor]]] = {}
        self.prompt_tokens: dict[int, int] = {}  # of each slot's last stream

    def join(self, slot: int, stream: Stream) -> None:
        parts = stream.begin(self.model, self.slots, slot)
        self.prompt_tokens[slot] = sum(map(len, parts))
        self.graphs.begin(slot, parts, seed=stream.seed, cfg=stream.cfg, steps=stream.steps)
        self.live[slot] = stream
        self.patches[stream] = []

    def step(self, slots: Sequence[int] | None = None) -> list[int]:
        """Run a step; return the slots that got a patch."""
        slots = list(self.live) if slots is None else slots
        step = self.graphs.launch(slots)
        latents = self.graphs.latents.clone()  # [B or more, P, C]
        stop_flags, samples = step.stop_flags(), step.samples()
        for row, slot in enumerate(step.slots):
            parts = self.patches[self.live[slot]]
            parts.append((latents[row], stop_flags[row], torch.tensor(samples[row])))
            if len(parts) == self.live[slot].patches:
                del self.live[slot]
        return list(step.slots)

    def run(self) -> None:
        """Step until all streams have ended."""
        while self.live:
            self.step()

    def output(self, stream: Stream) -> Output:
        latents, stop_flags, samples = zip(*self.patches[stream], strict=True)
        return Output(torch.stack(latents), list(stop_flags), torch.cat(samples))


def assert_same(output: Output, expected: Output, atol: float = 1e-5) -> None:
    torch.testing.assert_close(output.latents, expected.latents, atol=atol, rtol=0)
    torch.testing.assert_close(output.samples, expected.samples, atol=atol, rtol=0)
    assert output.stop_flags == expected.stop_flags


def different_streams(model: VoxCPM) -> list[Stream]:
    """Return streams that differ in all parameters."""
    prompt = model.encode(clip(0.6, model.encoder_rate))
    return [
        Counted("the hello", steps=5, cfg=1.0, seed=1, patches=9),
        Counted("you and 你好世界 12345", steps=10, cfg=2.0, seed=2, prompt=prompt),
        Counted("x", steps=7, cfg=3.0, seed=2**62, patches=5),
        Counted("a longer text, which goes on and on and on", cfg=1.5, seed=4, patches=11),
        Counted("语音合成", steps=2, cfg=2.5, seed=5, patches=8),
    ]
