"""The state between steps: fixed buffers with a slot for each stream.

All buffers have their final size from the start and are written in place, so that a captured CUDA
graph may refer to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.config import ModelConfig


@dataclass(frozen=True)
class KVCache:
    """Keys and values of one language model."""

    k: Tensor  # [layers, S, KV, N, D]
    v: Tensor  # [layers, S, KV, N, D]


@dataclass(frozen=True)
class KVPrefix:
    """The keys and values of a prefix that many streams share, of both language models."""

    kv: Tensor  # [2, layers, KV, n, D]: keys, values; the base LM's layers, then the residual LM's


@dataclass(frozen=True)
class SpeakerPrompt:
    """A clip that speech continues from, encoded once for all texts."""

    patch: Tensor  # [P, C]: the last one
    tokens: Tensor  # [T, W]: embeddings of all patches
    conv_state: Tensor  # [M]: the decoder's, after the last patches


@dataclass(frozen=True)
class TokenBatch:
    """The rows that the language models run together: one token each, at a position of a slot.

    A row is the last patch of a slot, or a token of a prompt (``PrefillTokens``).  A slot may have
    many prompt tokens, at consecutive positions.
    """

    encode_slots: slice | Tensor  # picks the slots whose last patch is encoded: the first rows
    index: slice | Tensor  # picks the slot of each row; a slice copies nothing
    slots: Tensor  # [B] int64: the same
    positions: Tensor  # [B] int64: of each row's token
    state_slots: slice | Tensor  # picks the slots that the resulting states are written to
    next_positions: Tensor  # [B] int64: of the tokens that follow
    kv_len: int  # positions to attend to: those of the longest row, its token included
    mask: Tensor | None  # [B, 1, 1, kv_len] bool: those of each row; None if all rows have all


class PrefillTokens(NamedTuple):
    """Prompt tokens that run beside the last patches, one per row."""

    slots: Tensor  # [N] int64
    positions: Tensor  # [N] int64
    state_slots: Tensor  # [N] int64: the slot for the last token of a prompt, else the padding slot
    ids: Tensor  # [N] int64, or AUDIO
    audio: Tensor  # [N, W]: the embedding of a patch, where the id is AUDIO


AUDIO = -1
"""The id of a token that is a patch."""


class Slots:
    """The state of ``slots`` streams with ``length`` positions each."""

    def __init__(
        self,
        config: ModelConfig,
        conv_shapes: Sequence[tuple[int, int]],
        slots: int,
        length: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """``conv_shapes``: channels and past of each convolution of the VAE's decoder."""
        self.count = slots
        self.length = length
        base = config.base
        num_layers = base.num_layers + config.residual.num_layers
        # Of both language models, which have the same shape, so that one operator resets a slot.
        self._kv = torch.zeros(
            2, num_layers, slots, base.num_kv_heads, length, base.head_dim,
            device=device, dtype=dtype,
        )  # [2, layers, S, KV, N, D]  # fmt: skip
        self.base = KVCache(*self._kv[:, : base.num_layers])
        self.residual = KVCache(*self._kv[:, base.num_layers :])
        # The hidden states of the base LM and of the residual LM.
        hidden_size = base.hidden_size
        self.hidden = torch.zeros(slots, hidden_size, device=device, dtype=dtype)  # [S, W]
        self.residual_hidden = torch.zeros_like(self.hidden)  # [S, W]
        # Whether the model says that the next patch is the last.
        self.stop_flags = torch.zeros(slots, device=device, dtype=torch.bool)  # [S]
        # The last patch, which the next one continues from.
        self.patch = torch.zeros(
            slots, config.patch_size, config.channels, device=device
        )  # [S, P, C]
        # The past inputs of each causal convolution of the decoder.
        sizes = [channels * past for channels, past in conv_shapes]
        self._conv_state = torch.zeros(slots, sum(sizes), device=device)  # [S, M]
        parts = torch.split(self._conv_state, sizes, dim=1)  # [S, channels past] each
        self.conv_state = [
            part.view(slots, *shape) for part, shape in zip(parts, conv_shapes, strict=True)
        ]  # each [S, channels, past]
        # Where it is written: another stream than that of the steps may decode.
        self.on_vae_stream: Callable[[], AbstractContextManager[None]] = nullcontext
        self.positions = torch.zeros(slots, device=device, dtype=torch.int64)  # [S]
        # The same numbers on the host, so that no step has to wait for the device.
        self.used = [0] * slots
        # Whether ``patch`` is still to be encoded by the language models.
        self.pending_encode = [False] * slots

    @property
    def bytes(self) -> int:
        """The size of the buffers on the device."""
        states = (self.hidden, self.residual_hidden, self.stop_flags, self.patch, self.positions)
        return sum(buffer.nbytes for buffer in (self._kv, self._conv_state, *states))

    def reset(self, slot: int) -> None:
        """Clear a slot, but for the hidden states, which are written before they are read.

        Only used positions are cleared: the others are zero already.
        """
        # Masked positions still take part in products; a stray NaN there would spread.
        self._kv[:, :, slot, :, : self.used[slot]].zero_()  # [2, layers, KV, used, D]
        with self.on_vae_stream():
            self._conv_state[slot].zero_()  # [M]
        self.patch[slot].zero_()  # [P, C]
        self.used[slot] = 0
        self.pending_encode[slot] = False

    def save(self, slot: int) -> KVPrefix:
        """Return a copy of the slot's keys and values."""
        return KVPrefix(self._kv[:, :, slot, :, : self.used[slot]].clone())

    def restore(self, slot: int, prefix: KVPrefix) -> None:
        """Start a slot with a prefix."""
        used = prefix.kv.shape[-2]
        self.fill(slot, used)
        self._kv[:, :, slot, :, :used] = prefix.kv  # [2, layers, KV, n, D]

    def snapshot(self, slot: int) -> Tensor:
        """Return a copy ``[M]`` of the slot's convolution state."""
        return self._conv_state[slot].clone()

    def seed_from_prompt(self, slot: int, prompt: SpeakerPrompt) -> None:
        """Let the slot's patches continue from a prompt's."""
        self.patch[slot] = prompt.patch  # [P, C]
        with self.on_vae_stream():
            self._conv_state[slot] = prompt.conv_state  # [M]
            if prompt.conv_state.is_cuda:  # its memory must not be reused before it is read
                prompt.conv_state.record_stream(torch.cuda.current_stream(prompt.conv_state.device))

    def index(self, slots: Sequence[int]) -> slice | Tensor:
        """Return an index of these slots into a buffer ``[S, ...]``: a slice if adjacent."""
        if list(slots) == list(range(slots[0], slots[0] + len(slots))):
            return slice(slots[0], slots[0] + len(slots))
        return torch.tensor(slots).to(self.positions.device, non_blocking=True)  # [B]

    def rows(self, slots: Sequence[int]) -> TokenBatch:
        """Return the rows of these slots, each of which must have a position left."""
        device = self.positions.device
        slot_ids = torch.tensor(slots).to(device, non_blocking=True)  # [B]
        positions = self.positions[slot_ids]  # [B]
        used = [self.used[slot] for slot in slots]
        kv_len = max(used) + 1
        if kv_len > self.length:
            raise ValueError(f"a slot is full: it has {self.length} positions.")
        mask = None
        if min(used) + 1 < kv_len:
            key_positions = torch.arange(kv_len, device=device)  # [kv_len]
            mask = (key_positions <= positions[:, None])[:, None, None]  # [B, 1, 1, kv_len]
        index = self.index(slots)
        return TokenBatch(index, index, slot_ids, positions, index, positions + 1, kv_len, mask)

    def rows_on_device(
        self, encode_slots: Tensor, prefill: PrefillTokens | None, kv_len: int
    ) -> TokenBatch:
        """Return the rows of ``encode_slots [H]``, then those of ``prefill``.

        All inputs are on the device.  No row may be longer than ``kv_len``, its token included.
        The last slot is the padding slot: a batch may hold it many times, and it never advances.
        """
        index, state_slots = encode_slots, encode_slots  # [H] each
        positions = self.positions[encode_slots]  # [H]
        if prefill is not None:
            index = torch.cat((index, prefill.slots))  # [B]
            positions = torch.cat((positions, prefill.positions))  # [B]
            state_slots = torch.cat((state_slots, prefill.state_slots))  # [B]
        next_positions = (positions + 1) * (state_slots < self.count - 1)  # [B]
        key_positions = torch.arange(kv_len, device=index.device)  # [kv_len]
        mask = (key_positions <= positions[:, None])[:, None, None]  # [B, 1, 1, kv_len]
        return TokenBatch(
            encode_slots, index, index, positions, state_slots, next_positions, kv_len, mask
        )

    def mark_generated(self, slots: Sequence[int]) -> None:
        """Record that these slots have a new patch, which is to be encoded."""
        for slot in slots:
            self.pending_encode[slot] = True

    def mark_encoded(self, slots: Sequence[int]) -> None:
        """Record that the last patch of these slots is encoded: it took a position."""
        for slot in slots:
            self.used[slot] += 1
            self.pending_encode[slot] = False

    def mark_prefilled(self, slot: int, tokens: int) -> None:
        """Record that prompt tokens took positions; the device's own count is set with them."""
        self.used[slot] += tokens

    def fill(self, slot: int, used: int) -> None:
        """Set the number of positions that the slot uses."""
        if used > self.length:
            raise ValueError(f"{used} positions do not fit a slot of {self.length}.")
        self.positions[slot].fill_(used)
        self.used[slot] = used
