"""What is still to be read of a prompt, in pieces as large as a step has room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voxcpm_openai.runtime.model.voxcpm import Part


class Passage(NamedTuple):
    """What one step reads of a prompt: tokens that stand at ``position`` and behind it."""

    slot: int
    position: int
    parts: list[Part]  # tokens' ids, or patches [n, W] as LocEnc makes tokens of them
    last: bool  # whether nothing is left


class Unread:
    """The parts of a prompt, of which tokens are taken in order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = [part for part in parts if len(part)]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def take(self, most: int) -> list[Part]:
        """Return the first tokens, ``most`` of them or all that there are."""
        taken: list[Part] = []
        while self._parts and most:
            part = self._parts.pop(0)
            if len(part) > most:
                self._parts.insert(0, part[most:])
            taken.append(part[:most])
            most -= len(taken[-1])
        return taken
