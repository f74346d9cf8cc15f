"""Counter-based noise: what a row draws depends on its seed and the number of its patch only.

Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011) scrambles a
counter with a key.  It has no state, any patch can be drawn at any time, and every device draws the
same bits.  The normal numbers made of them (Box and Muller, 1958) differ between devices only by
the rounding of logarithm, sine and cosine.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # of the counter's words 0 and 2
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)  # of the key's two words, per round
WORD_MASK = 0xFFFFFFFF  # 32 bits


class Noise:
    """Draws normal numbers on one device."""

    def __init__(self, device: torch.device) -> None:
        rounds = torch.arange(ROUNDS)[:, None]  # [10, 1]
        # Added to the key [2, B, 1].
        increments = (rounds * torch.tensor(KEY_INCREMENTS))[..., None, None]  # [10, 2, 1, 1]
        self._increments = increments.to(device)
        # Multiplied with the counter's words 0 and 2 [2, B, N].
        self._multipliers = torch.tensor(MULTIPLIERS)[:, None, None].to(device)  # [2, 1, 1]

    def __call__(self, seeds: Tensor, patches: Tensor, channels: int, frames: int) -> Tensor:
        """Return ``[B, C, P]`` in float32 for the patch number ``patches [B]`` of each row.

        ``seeds [B]``: int64, 0 or more.  ``channels`` times ``frames`` is a multiple of 4.
        """
        blocks = torch.arange(channels * frames // 4, device=seeds.device)  # [N], 4 numbers each
        count = torch.stack(
            (blocks.expand(len(seeds), -1), patches[:, None].expand(-1, len(blocks)))
        )  # [2, B, N]
        counter = torch.cat((count, torch.zeros_like(count)))  # [4, B, N]
        key = torch.stack((seeds & WORD_MASK, seeds >> 32))[..., None]  # [2, B, 1]
        # A word stands for the middle of its interval, so that no number is 0.
        uniform = (self.words(counter, key) + 0.5) * 2.0**-32  # [4, B, N]
        radius = (uniform[0::2].log() * -2).sqrt()  # [2, B, N]
        angle = uniform[1::2] * (2 * math.pi)  # [2, B, N]
        pairs = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=-1)  # [2, B, N, 2]
        return pairs.permute(1, 2, 0, 3).reshape(len(seeds), channels, frames)  # [B, C, P]

    def words(self, counter: Tensor, key: Tensor) -> Tensor:
        """Scramble ``counter [4, B, N]`` with ``key [2, B, 1]``: ``[4, B, N]``.

        All are 32-bit words in int64, which every device has.  The 64 bits of a product are right
        although int64 is signed and wraps around.
        """
        even, odd = counter[0::2], counter[1::2]  # [2, B, N] each: words 0 and 2, words 1 and 3
        for round_key in ((key + self._increments) & WORD_MASK).unbind():  # [2, B, 1] each
            product = (even * self._multipliers).flip(0)  # [2, B, N]
            even = ((product >> 32) ^ odd ^ round_key) & WORD_MASK  # [2, B, N]
            odd = product & WORD_MASK  # [2, B, N]
        return torch.stack((even, odd), dim=1).flatten(0, 1)  # [4, B, N]
