"""Moves the pitch of a waveform whose pulses are known, and keeps its formants (TD-PSOLA)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from voxcpm_openai.contracts import Samples

Places = npt.NDArray[np.float64]

RATE = 24_000
"""Samples per second, of the network's audio."""
HOP = 300
"""Samples from one f0 to the next."""
SLOW = 60.0
"""Hz; below it there is no tone: f0 falls through such values at the ends of voiced parts."""
EVEN = 200.0
"""Grains per second where there is no tone."""


def pulses(f0: Samples, tone: npt.NDArray[np.bool_]) -> Places:
    """Return where the pulses of f0 lie, in samples of the network.

    ``f0``: Hz per sample; ``tone``: where there is one, elsewhere ``EVEN``.
    """
    cycles = np.cumsum(np.where(tone, f0, EVEN), dtype=np.float64) / RATE
    before = np.flatnonzero(np.diff(np.floor(cycles)))
    whole = np.floor(cycles[before + 1])
    places: Places = before + (whole - cycles[before]) / (cycles[before + 1] - cycles[before])
    return places


def per_sample(f0: Samples) -> Samples:
    """Interpolate f0 in Hz per frame, shape (frames,), to samples, as the network's source does."""
    places = (np.arange(len(f0) * HOP) + 0.5) / HOP - 0.5
    return np.interp(places, np.arange(len(f0)), f0).astype(np.float32)


def repitch(samples: Samples, f0: Samples, target: Samples, stretch: float) -> Samples:
    """Return the samples, shape (n,), with the pulses of ``target`` instead of those of ``f0``.

    Both in Hz per frame of the network; the samples have ``stretch`` times its duration.  Each
    pulse of the target gets a copy of the sound around the nearest pulse that there is: two periods
    under a Hann window.  Their number changes the energy; their level makes up for it.
    """
    source, wanted = per_sample(f0), per_sample(target)
    tone = (source > SLOW) & (wanted > 0)
    old, new = pulses(source, tone), pulses(wanted, tone)
    if not len(old) or not len(new):
        return samples
    nearest = old[np.searchsorted((old[1:] + old[:-1]) / 2, new)]
    at = np.minimum(nearest.astype(np.intp), len(source) - 1)
    here, there, voiced = source[at], wanted[at], tone[at]
    half = RATE / np.where(voiced, here, EVEN)
    level = np.sqrt(np.where(voiced, here, 1) / np.where(voiced, there, 1))
    moved = overlapped(samples, nearest * stretch, new * stretch, half * stretch, level)
    energy = np.sum(moved**2)
    # A higher pitch skips the strong lowest harmonics.
    return moved * np.sqrt(np.sum(samples**2) / energy) if energy else moved


def overlapped(samples: Samples, old: Places, new: Places, half: Places, level: Places) -> Samples:
    """Return the sum of copies of parts of ``samples`` at other places.

    Each part lies around ``old``, ``half`` to either side, and comes to lie around ``new``, with
    the factor ``level``: all of shape (parts,) and, but for the last, in samples.
    """
    reach = np.rint(half).astype(np.intp)
    most = int(reach.max())
    start = np.rint(old).astype(np.intp)
    goal = start + np.rint(new - old).astype(np.intp)
    end = int(max(len(samples), start.max() + 1, goal.max() + 1))
    padded = np.pad(samples, (most, end - len(samples) + most))
    out = np.zeros_like(padded)
    rows = zip(start + most, goal + most, reach, level.astype(np.float32), strict=True)
    for middle, place, side, factor in rows:
        part = padded[middle - side : middle + side]
        out[place - side : place + side] += part * (window(int(side)) * factor)
    return out[most : most + len(samples)]


@lru_cache(maxsize=1024)
def window(half: int) -> Samples:
    """Return a periodic Hann window of 2 ``half`` samples."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * half) / half)).astype(np.float32)
