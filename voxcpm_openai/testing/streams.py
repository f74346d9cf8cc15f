"""Streams that a test runs alone or side by side; clips and noise, the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.state import KVPrefix, Slots
from voxcpm_openai.runtime.model.voxcpm import SequencePart, VoxCPM


def clip(seconds: float, rate: int, seed: int = 1) -> Tensor:
    """A hum under noise, ``[N]``."""
    samples = int(seconds * rate)
    time = torch.arange(samples) / rate  # [N]
    hum = torch.sin(2 * torch.pi * (110 + 20 * seed) * time) * 0.3  # [N]
    return hum + normal(samples, seed=seed) * 0.1  # [N]


def normal(*shape: int, seed: int) -> Tensor:
    """Normal noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))  # shape


@dataclass(frozen=True)
class Stream:
    """A request to a model."""

    text: str
    patches: int = 12
    steps: int = 10
    cfg: float = 2.0
    seed: int = 1
    prompt: Tensor | None = None  # [T, P, C]
    reference: Tensor | KVPrefix | None = None

    def noise(self, model: VoxCPM) -> Tensor:
        """Return the noise of all patches, ``[T, C, P]``."""
        frames, channels = model.latent_shape
        return normal(self.patches, channels, frames, seed=self.seed)  # [T, C, P]

    def begin(self, model: VoxCPM, slots: Slots, slot: int) -> list[SequencePart]:
        """Begin in a slot; return the parts to prefill."""
        return model.begin(slots, slot, model.tokens(self.text), self.prompt, self.reference)

    def prefill(self, model: VoxCPM, slots: Slots, slot: int) -> None:
        """Begin in a slot and prefill."""
        model.prefill(slots, slot, model.tokens(self.text), self.prompt, self.reference)


@dataclass
class Output:
    """The output of a stream."""

    latents: Tensor  # [T, P, C]
    stop_flags: list[bool]
    samples: Tensor  # [T patch_samples]


def run(model: VoxCPM, slots: Slots, streams: dict[int, Stream]) -> dict[int, Output]:
    """Run streams in a batch, by slot; finished ones leave it."""
    for slot, stream in streams.items():
        stream.prefill(model, slots, slot)
    noise = {slot: stream.noise(model) for slot, stream in streams.items()}
    parts: dict[int, list[tuple[Tensor, bool, Tensor]]] = {slot: [] for slot in streams}
    for i in range(max(stream.patches for stream in streams.values())):
        rows = [slot for slot, stream in streams.items() if i < stream.patches]
        patches, flags = step(model, slots, rows, streams, [noise[slot][i] for slot in rows])
        samples = model.decode(slots, rows, patches)  # [B, N]
        for row, slot in enumerate(rows):
            parts[slot].append((patches[row], bool(flags[row]), samples[row]))
    return {
        slot: Output(
            torch.stack([patch for patch, _, _ in made]),
            [flag for _, flag, _ in made],
            torch.cat([samples for _, _, samples in made]),
        )
        for slot, made in parts.items()
    }


def step(
    model: VoxCPM,
    slots: Slots,
    rows: Sequence[int],
    streams: dict[int, Stream],
    noise: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """Run a step of these rows."""
    return model.step(
        slots,
        rows,
        torch.stack(list(noise)),
        [streams[slot].steps for slot in rows],
        torch.tensor([streams[slot].cfg for slot in rows]),
    )


def alone(model: VoxCPM, stream: Stream) -> Output:
    """Run one stream in slots of its own."""
    return run(model, model.new_slots(1, 200), {0: stream})[0]
