"""Orders: which rows the next pieces are for, told to the device in one copy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.state import AUDIO, Texts
from voxcpm_openai.runtime.unread import Passage

TOKENS = 256
"""The most tokens of prompts that one step reads.  Up to about as many rows, the language models of
an H100 take no longer for more of them: they wait for their weights."""


class Orders:
    """Buffers on the device that ``tell`` fills; a piece looks at the first of each.

    ``heard [B]`` and ``spoken [B]``: slots whose last patch is heard, or that make the next one.
    ``texts``: what is read beside.  The spare slot stands where nobody does.
    """

    def __init__(self, spare: int, width: int, device: torch.device, dtype: torch.dtype) -> None:
        """``spare``: the last slot, and so the number of the others; ``width``: of a token."""
        self._spare = spare
        self._whole = torch.zeros(2 * spare + 4 * TOKENS, device=device, dtype=torch.int64)
        self._here = torch.zeros(
            len(self._whole), dtype=torch.int64, pin_memory=device.type == "cuda"
        )
        sizes = [spare, spare, *[TOKENS] * 4]
        self.heard, self.spoken, slots, positions, into, ids = torch.split(self._whole, sizes)
        self._audio = torch.zeros(TOKENS, width, device=device, dtype=dtype)  # [N, W]
        self.texts = Texts(slots, positions, into, ids, self._audio)

    @torch.inference_mode()
    def tell(self, hear: Sequence[int], speak: Sequence[int], read: Sequence[Passage]) -> None:
        """Say for whom the next pieces are, and what they read: ``TOKENS`` at most.

        The device has read this when it is through with the first of them; not before may it be
        told something else.
        """
        slots: list[int] = []
        positions: list[int] = []
        into: list[int] = []
        ids: list[int] = []
        for passage in read:
            begun = len(ids)
            for part in passage.parts:
                if isinstance(part, Tensor):
                    self._audio[len(ids) : len(ids) + len(part)] = part  # [n, W]
                    ids += [AUDIO] * len(part)
                else:
                    ids += part
            count = len(ids) - begun
            slots += [passage.slot] * count
            positions += range(passage.position, passage.position + count)
            into += [self._spare] * (count - 1) + [passage.slot if passage.last else self._spare]
        spare = self._spare
        told = (
            *_filled(hear, spare, spare),
            *_filled(speak, spare, spare),
            *_filled(slots, TOKENS, spare),
            *_filled(positions, TOKENS, 0),
            *_filled(into, TOKENS, spare),
            *_filled(ids, TOKENS, 0),
        )
        self._here.copy_(torch.tensor(told))
        self._whole.copy_(self._here, non_blocking=True)


def _filled(values: Sequence[int], length: int, filling: int) -> list[int]:
    return [*values, *[filling] * (length - len(values))]
