"""What lives between steps: fixed buffers with a slot for each stream.

A stream is addressed by the number of its slot.  All buffers are as large as they will ever be, and
are written in place, so that a captured CUDA graph may refer to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.config import ModelConfig


@dataclass(frozen=True)
class Cache:
    """Keys and values of one language model."""

    k: Tensor  # [layers, S, KV, N, D]
    v: Tensor  # [layers, S, KV, N, D]


@dataclass(frozen=True)
class Prefix:
    """The positions that many streams begin with, as both language models keep them."""

    kv: Tensor  # [2, layers, KV, n, D]: keys, values; of the base LM's layers, then the other's


@dataclass(frozen=True)
class Prompt:
    """A clip that speech goes on from, and what the model makes of it, once for all texts."""

    patch: Tensor  # [P, C]: the last one
    tokens: Tensor  # [T, W]: what LocEnc makes of all of them
    memory: Tensor  # [M]: what the decoder remembers of the last ones


@dataclass(frozen=True)
class Rows:
    """The rows that the language models run together, one token each, and where each stands.

    A row is the last patch of a slot, or a token of a text that is read beside (``Texts``): a slot
    may have many of these, at one position after the other.
    """

    heard: slice | Tensor  # picks the slots [S, ...] whose last patch is heard: H, the first rows
    index: slice | Tensor  # picks the slot of each row; a slice copies nothing
    slots: Tensor  # [B] int64: the same
    positions: Tensor  # [B] int64: where the token of each row goes
    into: slice | Tensor  # picks the slots that keep the states that follow
    after: Tensor  # [B] int64: where the token after it goes
    span: int  # positions to look at: those of the longest row and its token
    mask: Tensor | None  # [B, 1, 1, span] bool: which of them each row has; None where all have all


class Texts(NamedTuple):
    """Tokens of prompts that are read beside the last patches, one a row."""

    slots: Tensor  # [N] int64
    positions: Tensor  # [N] int64: where each goes
    into: Tensor  # [N] int64: its slot if it is the last of its prompt, else the spare one
    ids: Tensor  # [N] int64, or AUDIO
    audio: Tensor  # [N, W]: what LocEnc made of a patch, where the id is AUDIO


AUDIO = -1
"""In the place of a token's id: it is a patch."""


class Slots:
    """The state of as many streams as fit, ``length`` positions each."""

    def __init__(
        self,
        config: ModelConfig,
        memory: Sequence[tuple[int, int]],
        slots: int,
        length: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """``memory``: channels and samples that each convolution of the VAE's decoder keeps."""
        self.count = slots
        self.length = length
        layers, heads = config.base.layers, config.base.kv_heads
        layers += config.residual.layers
        # Both LMs' together, which are of one shape: what is done to a slot is done in one go.
        self._kv = torch.zeros(
            2, layers, slots, heads, length, config.base.head, device=device, dtype=dtype
        )  # [2, layers, S, KV, N, D]
        self.base = Cache(*self._kv[:, : config.base.layers])
        self.residual = Cache(*self._kv[:, config.base.layers :])
        width = config.base.width
        self.hidden = torch.zeros(slots, width, device=device, dtype=dtype)  # [S, W] base LM
        self.detail = torch.zeros(slots, width, device=device, dtype=dtype)  # [S, W] residual LM
        # Whether the model says that the next patch is the last.
        self.stops = torch.zeros(slots, device=device, dtype=torch.bool)  # [S]
        # The last patch, from which the next one goes on.
        self.patch = torch.zeros(slots, config.patch, config.channels, device=device)  # [S, P, C]
        # What came last into each causal convolution of the decoder.
        sizes = [channels * past for channels, past in memory]
        self._memory = torch.zeros(slots, sum(sizes), device=device)  # [S, M]
        parts = torch.split(self._memory, sizes, dim=1)  # [S, channels past] each
        self.memory = [
            part.view(slots, *place) for part, place in zip(parts, memory, strict=True)
        ]  # each [S, channels, past]
        self.positions = torch.zeros(slots, device=device, dtype=torch.int64)  # [S]
        # The same numbers on the host, so that no step has to wait for the device.
        self.used = [0] * slots
        # Whether ``patch`` is still to be heard by the language models.
        self.unheard = [False] * slots

    @property
    def bytes(self) -> int:
        """What the buffers take on the device."""
        states = (self.hidden, self.detail, self.stops, self.patch, self.positions)
        return sum(buffer.nbytes for buffer in (self._kv, self._memory, *states))

    def reset(self, slot: int) -> None:
        """Make the slot as new, but for the states, which are written before they are read.

        Only what was written is cleared: the rest is zero already.
        """
        # Masked positions still take part in products; a stray NaN there would spread.
        self._kv[:, :, slot, :, : self.used[slot]].zero_()  # [2, layers, KV, used, D]
        self._memory[slot].zero_()  # [M]
        self.patch[slot].zero_()  # [P, C]
        self.used[slot] = 0
        self.unheard[slot] = False

    def save(self, slot: int) -> Prefix:
        """Return a copy of what the slot's language models hold."""
        return Prefix(self._kv[:, :, slot, :, : self.used[slot]].clone())

    def restore(self, slot: int, prefix: Prefix) -> None:
        """Begin a slot with a prefix."""
        used = prefix.kv.shape[-2]
        self.fill(slot, used)
        self._kv[:, :, slot, :, :used] = prefix.kv  # [2, layers, KV, n, D]

    def remembered(self, slot: int) -> Tensor:
        """Return a copy ``[M]`` of what the slot's decoder remembers."""
        return self._memory[slot].clone()

    def go_on(self, slot: int, prompt: Prompt) -> None:
        """Let the slot's patches go on from a prompt's."""
        self.patch[slot] = prompt.patch  # [P, C]
        self._memory[slot] = prompt.memory  # [M]

    def index(self, slots: Sequence[int]) -> slice | Tensor:
        """Return what picks these slots of a buffer ``[S, ...]``: a slice if they are adjacent."""
        if list(slots) == list(range(slots[0], slots[0] + len(slots))):
            return slice(slots[0], slots[0] + len(slots))
        return torch.tensor(slots).to(self.positions.device, non_blocking=True)  # [B]

    def rows(self, slots: Sequence[int]) -> Rows:
        """Return the rows of these slots, each of which must have a position left."""
        device = self.positions.device
        picked = torch.tensor(slots).to(device, non_blocking=True)  # [B]
        positions = self.positions[picked]  # [B]
        used = [self.used[slot] for slot in slots]
        span = max(used) + 1
        if span > self.length:
            raise ValueError(f"a slot is full: it has {self.length} positions.")
        mask = None
        if min(used) + 1 < span:
            places = torch.arange(span, device=device)  # [span]
            mask = (places <= positions[:, None])[:, None, None]  # [B, 1, 1, span]
        index = self.index(slots)
        return Rows(index, index, picked, positions, index, positions + 1, span, mask)

    def rows_on_device(self, heard: Tensor, texts: Texts | None, span: int) -> Rows:
        """Return the rows of the slots ``heard [H]``, and behind them those of texts that are read.

        It is made of what the device knows, and nothing else.  None of them may be longer than
        ``span``, its token included.  The last slot is a spare one: it fills up a batch, more than
        once if need be, and never moves on.
        """
        index, positions, into = heard, self.positions[heard], heard  # [H] each
        if texts is not None:
            index, positions, into = (
                torch.cat(both)
                for both in (
                    (index, texts.slots), (positions, texts.positions), (into, texts.into)
                )
            )  # [B] each  # fmt: skip
        after = (positions + 1) * (into < self.count - 1)  # [B]
        places = torch.arange(span, device=index.device)  # [span]
        mask = (places <= positions[:, None])[:, None, None]  # [B, 1, 1, span]
        return Rows(heard, index, index, positions, into, after, span, mask)

    def spoke(self, slots: Sequence[int]) -> None:
        """Note that these have a new patch, which the language models are to hear."""
        for slot in slots:
            self.unheard[slot] = True

    def heard(self, slots: Sequence[int]) -> None:
        """Note that the language models heard the last patch of these: it took a position."""
        for slot in slots:
            self.used[slot] += 1
            self.unheard[slot] = False

    def read(self, slot: int, tokens: int) -> None:
        """Note that so many tokens of a prompt were read: the device was told with them."""
        self.used[slot] += tokens

    def fill(self, slot: int, used: int) -> None:
        """Say that the first ``used`` positions of the slot are taken."""
        if used > self.length:
            raise ValueError(f"{used} positions do not fit a slot of {self.length}.")
        self.positions[slot].fill_(used)
        self.used[slot] = used
