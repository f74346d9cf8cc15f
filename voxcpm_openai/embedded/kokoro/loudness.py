"""Sound levels, and the silence around speech."""

from __future__ import annotations

import numpy as np

from voxcpm_openai.contracts import Samples

RATE = 24_000
"""Samples per second."""
BLOCK = RATE // 100
"""Samples of a block: 10 ms."""
QUIET = 10 ** (-42 / 20)
"""Silence at the ends is weaker than this, relative to the loudest block."""
EDGE = 3
"""The blocks of it that are kept: 30 ms."""
VOICED = 10 ** (-20 / 20)
"""Blocks above this, relative to the loudest, are vowels and the like."""


def blocks_of(samples: Samples) -> Samples:
    """Return the level of each 10 ms, shape (blocks,); a shorter rest is left out."""
    blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    levels: Samples = np.sqrt(np.mean(blocks**2, axis=1, dtype=np.float32))
    return levels


def voiced_level(samples: Samples) -> float:
    """Return the level of the voiced parts of speech, in dB below full scale."""
    levels = blocks_of(samples)
    loud = levels[levels > VOICED * levels.max(initial=0)]
    return float(10 * np.log10(np.mean(loud**2))) if len(loud) else -np.inf


def trim(samples: Samples) -> Samples:
    """Cut the silence at both ends to 30 ms, and fade these in and out.

    Kokoro begins with 0.25 to 0.3 s of silence.  Samples that are all silent become none.
    """
    levels = blocks_of(samples)
    loud = np.flatnonzero(levels > QUIET * levels.max(initial=0))
    if not len(loud):
        return samples[:0]
    start = max(0, int(loud[0]) - EDGE) * BLOCK
    kept = samples[start : (int(loud[-1]) + 1 + EDGE) * BLOCK].copy()
    fade = np.linspace(0, 1, BLOCK, dtype=np.float32)
    kept[:BLOCK] *= fade
    kept[-BLOCK:] *= fade[::-1]
    return kept
