"""The inputs of a step: the slots of its rows and the prompt tokens, uploaded in one copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.model.state import AUDIO, PrefillTokens
from voxcpm_openai.runtime.model.voxcpm import SequencePart

MAX_PREFILL_TOKENS = 256
"""The most prompt tokens of a step.  Up to about as many rows cost an H100 nothing extra in the
language models, which are bound by reading their weights."""
PREFILLED = 64
"""Tokens of a part of a prompt on a CPU: two parts of 32 take a half longer."""


class PrefillChunk(NamedTuple):
    """The tokens of a prompt that one step prefills, from ``position`` on."""

    slot: int
    position: int
    parts: list[SequencePart]  # token ids, or embedded patches [n, W]
    last: bool  # whether the prompt ends here


class PrefillQueue:
    """The tokens of a prompt that are still to be prefilled."""

    def __init__(self, parts: Sequence[SequencePart]) -> None:
        self._parts = [part for part in parts if len(part)]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def pop(self, count: int) -> list[SequencePart]:
        """Remove and return the first ``count`` tokens, or all if there are fewer."""
        popped: list[SequencePart] = []
        while self._parts and count:
            part = self._parts.pop(0)
            if len(part) > count:
                self._parts.insert(0, part[count:])
            popped.append(part[:count])
            count -= len(popped[-1])
        return popped


class BatchInputs:
    """Buffers on the device that ``upload`` fills; a stage reads the first entries of each.

    ``lm_slots [B]``: slots whose last patch is encoded.  ``acoustic_slots [B]``: slots that get a
    patch.  ``prefill``: prompt tokens that run beside.  Unused entries hold the padding slot.
    """

    def __init__(
        self, padding_slot: int, hidden_size: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        """``padding_slot``: the last slot, and so the number of the others."""
        self._padding_slot = padding_slot
        self._device = torch.zeros(
            2 * padding_slot + 4 * MAX_PREFILL_TOKENS, device=device, dtype=torch.int64
        )
        self._asynchronous = devices.is_asynchronous(device)
        self._host = torch.zeros(
            len(self._device), dtype=torch.int64, pin_memory=self._asynchronous
        )
        sizes = [padding_slot, padding_slot, *[MAX_PREFILL_TOKENS] * 4]
        self.lm_slots, self.acoustic_slots, slots, positions, state_slots, ids = torch.split(
            self._device, sizes
        )
        self._audio = torch.zeros(
            MAX_PREFILL_TOKENS, hidden_size, device=device, dtype=dtype
        )  # [N, W]
        self.prefill = PrefillTokens(slots, positions, state_slots, ids, self._audio)

    @torch.inference_mode()
    def upload(
        self,
        lm_slots: Sequence[int],
        acoustic_slots: Sequence[int],
        prefill: Sequence[PrefillChunk],
    ) -> None:
        """Set the inputs of the next stages; at most ``MAX_PREFILL_TOKENS`` tokens of prompts.

        The copy may be asynchronous: call it again only when the device is through with the first
        of these stages.
        """
        slots: list[int] = []
        positions: list[int] = []
        state_slots: list[int] = []
        ids: list[int] = []
        for chunk in prefill:
            start = len(ids)
            for part in chunk.parts:
                if isinstance(part, Tensor):
                    self._audio[len(ids) : len(ids) + len(part)] = part  # [n, W]
                    ids += [AUDIO] * len(part)
                else:
                    ids += part
            count = len(ids) - start
            slots += [chunk.slot] * count
            positions += range(chunk.position, chunk.position + count)
            state_slots += [self._padding_slot] * (count - 1) + [
                chunk.slot if chunk.last else self._padding_slot
            ]
        padding_slot = self._padding_slot
        values = (
            *_padded(lm_slots, padding_slot, padding_slot),
            *_padded(acoustic_slots, padding_slot, padding_slot),
            *_padded(slots, MAX_PREFILL_TOKENS, padding_slot),
            *_padded(positions, MAX_PREFILL_TOKENS, 0),
            *_padded(state_slots, MAX_PREFILL_TOKENS, padding_slot),
            *_padded(ids, MAX_PREFILL_TOKENS, 0),
        )
        self._host.copy_(torch.tensor(values))
        self._device.copy_(self._host, non_blocking=self._asynchronous)


def _padded(values: Sequence[int], length: int, padding: int) -> list[int]:
    return [*values, *[padding] * (length - len(values))]
