"""Streams that a test runs alone or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.runtime.clips import normal
from voxcpm_openai.runtime.model.state import Prefix, Slots
from voxcpm_openai.runtime.model.voxcpm import Part, VoxCPM


@dataclass(frozen=True)
class Stream:
    """One request to a model."""

    text: str
    patches: int = 12
    steps: int = 10
    cfg: float = 2.0
    seed: int = 1
    prompt: Tensor | None = None  # [T, P, C]
    reference: Tensor | Prefix | None = None

    def noise(self, model: VoxCPM) -> Tensor:
        """Noise of every patch, ``[T, C, P]``."""
        frames, channels = model.latent_shape
        return normal(self.patches, channels, frames, seed=self.seed)  # [T, C, P]

    def arrive(self, model: VoxCPM, slots: Slots, slot: int) -> list[Part]:
        """Begin in a slot; return what is to be read."""
        return model.arrive(slots, slot, model.tokens(self.text), self.prompt, self.reference)

    def begin(self, model: VoxCPM, slots: Slots, slot: int) -> None:
        """Prefill."""
        model.prefill(slots, slot, model.tokens(self.text), self.prompt, self.reference)


@dataclass
class Heard:
    """What came of a stream."""

    latents: Tensor  # [T, P, C]
    stops: list[bool]
    samples: Tensor  # [T patch_samples]


def run(model: VoxCPM, slots: Slots, streams: dict[int, Stream]) -> dict[int, Heard]:
    """Run streams side by side, by slot; those that are done leave the batch."""
    for slot, stream in streams.items():
        stream.begin(model, slots, slot)
    noise = {slot: stream.noise(model) for slot, stream in streams.items()}
    parts: dict[int, list[tuple[Tensor, bool, Tensor]]] = {slot: [] for slot in streams}
    for turn in range(max(stream.patches for stream in streams.values())):
        rows = [slot for slot, stream in streams.items() if turn < stream.patches]
        patches, stops = step(model, slots, rows, streams, [noise[slot][turn] for slot in rows])
        samples = model.decode(slots, rows, patches)  # [B, N]
        for row, slot in enumerate(rows):
            parts[slot].append((patches[row], bool(stops[row]), samples[row]))
    return {
        slot: Heard(
            torch.stack([patch for patch, _, _ in made]),
            [stop for _, stop, _ in made],
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
    """One step of these rows."""
    return model.step(
        slots,
        rows,
        torch.stack(list(noise)),
        [streams[slot].steps for slot in rows],
        torch.tensor([streams[slot].cfg for slot in rows]),
    )


def alone(model: VoxCPM, stream: Stream) -> Heard:
    """Run one stream by itself."""
    return run(model, model.new_slots(1, 200), {0: stream})[0]
