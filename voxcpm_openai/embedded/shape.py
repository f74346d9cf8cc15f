"""The voices of the embedded engine: hibari's own voice, changed in pitch and formants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from voxcpm_openai.contracts import Samples, Voice
from voxcpm_openai.embedded.frames import BINS, HOP, spectrum, waveform
from voxcpm_openai.embedded.repitch import repitch
from voxcpm_openai.errors import InvalidRequest

NAME = "hibari"
"""The key of a voice's options."""
BASE = "base"
"""The option that names another network; see ``bases``."""
RATE = 24_000
"""Samples per second."""
BIN = 20.0
"""Hz between the bins of the network's spectra."""
PIVOT = 500.0
"""Hz; a tilt leaves the level here as it is."""
TILTED = ((-1.5, 2.5, 3.5), (-1.5, 2.5, 0.0))
"""A tilt, by octaves above that: full from 180 Hz to 2.8 kHz, none in hisses, above 5.7 kHz."""
VOICED = 40.0
"""hibari treats frames with an f0 above this, in Hz, as voiced."""
PEAK = np.float32(0.99)
"""The highest sample value; the voices stay far below, odd texts are clipped."""
QUIET = 10 ** (-42 / 20)
"""Silence at the ends of a segment is weaker than this, relative to its loudest 10 ms."""
EDGE = 720
"""The samples of it that are kept: 30 ms."""
LIMITS = {
    "pitch": (0.4, 2.0),
    "formant": (0.8, 1.1),
    "pace": (0.6, 1.6),
    "range": (0.3, 2.0),
    "breath": (-12.0, 12.0),
    "tilt": (-6.0, 6.0),
    "gain": (-12.0, 12.0),
}
"""The ranges of ``Shape``.  They keep the speed of the network, ``pace / formant``, at 0.5 to 2."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a voice differs from hibari's own.

    ``pitch``, ``formant``, ``pace`` (the speed, roughly) and ``range`` (of the melody) are factors;
    ``breath`` (the noise in the tone) and ``gain`` are in dB, ``tilt`` in dB per octave: positive
    for a bright voice, negative for a dark one.
    """

    pitch: float = 1.0
    formant: float = 1.0
    pace: float = 1.0
    range: float = 1.0
    breath: float = 0.0
    tilt: float = 0.0
    gain: float = 0.0


def shape_of(voice: Voice) -> Shape:
    """Return the shape in ``voice.options["hibari"]``.  Raises InvalidRequest; see ``LIMITS``."""
    values: dict[str, float] = {}
    for key, value in voice.options.get(NAME, {}).items():
        if key == BASE:
            continue
        where = f"Voice {voice.id!r}: options.{NAME}.{key}"
        if key not in LIMITS:
            raise InvalidRequest(
                f"{where}: no such option; there are {', '.join(LIMITS)}.", param="voice"
            )
        low, high = LIMITS[key]
        number = value if isinstance(value, int | float) else math.nan
        if isinstance(value, bool) or not low <= number <= high:
            raise InvalidRequest(
                f"{where} = {value!r}: not a number from {low:g} to {high:g}.", param="voice"
            )
        values[key] = float(number)
    return Shape(**values)


def render(hibari: Any, ids: list[int], shape: Shape, rng: np.random.Generator) -> Samples:
    """Synthesize phoneme ids in the shape of a voice; return samples at 24 kHz.

    Longer frames change formants, pitch and duration; the network's speed and the pulses
    compensate for the latter two.
    """
    hop = round(HOP / shape.formant)
    stretch = hop / HOP
    feeds = {
        "ids": np.asarray([ids], np.int64),
        "speed": np.asarray([shape.pace * stretch], np.float32),
    }
    outputs = [out[0] for out in hibari.sess.run(None, feeds)]
    noise, f0 = outputs[3], outputs[5]  # (601, frames), log magnitudes; (frames,), Hz
    voiced = f0 > VOICED
    noise[:, voiced] += np.float32(shape.breath / 20 * math.log(10))
    spectra = spectrum(outputs, rng)
    if shape.tilt:
        spectra *= slope(shape.tilt, stretch)
    samples = waveform(spectra, hop)
    factor = shape.pitch * stretch
    if voiced.any() and (factor, shape.range) != (1, 1):
        samples = repitch(samples, f0, retune(f0, voiced, factor, shape.range), stretch)
    samples *= np.float32(10 ** (shape.gain / 20))
    return samples.clip(-PEAK, PEAK)


@lru_cache(maxsize=64)
def slope(tilt: float, stretch: float) -> Samples:
    """Return factors for the bins of the network's spectra, shape (601, 1), in longer frames."""
    octaves = np.log2(np.maximum(np.arange(BINS) * BIN / stretch / PIVOT, 1e-3))
    level = tilt * np.interp(octaves, *TILTED)  # dB
    factors: Samples = (10 ** (level / 20)).astype(np.float32)
    return factors[:, None]


def retune(f0: Samples, voiced: npt.NDArray[np.bool_], factor: float, span: float) -> Samples:
    """Scale the f0 of voiced frames, and its distance from the mean by ``span`` (in log f0)."""
    log = np.log(f0[voiced])
    mean = log.mean()
    tuned = f0.copy()
    tuned[voiced] = np.maximum(np.exp(mean + (log - mean) * span) * factor, VOICED + 1)
    return tuned


def trim(samples: Samples) -> Samples:
    """Cut the silence at both ends to 30 ms; samples that are all silent are not changed."""
    step = RATE // 100
    blocks = samples[: len(samples) // step * step].reshape(-1, step)  # (n, 10 ms)
    level = np.sqrt(np.mean(blocks**2, axis=1))
    loud = np.flatnonzero(level > QUIET * level.max(initial=0))
    if not len(loud):
        return samples
    start = max(0, loud[0] * step - EDGE)
    kept = samples[start : (loud[-1] + 1) * step + EDGE].copy()
    fade = np.linspace(0, 1, step, dtype=np.float32)
    kept[:step] *= fade
    kept[-step:] *= fade[::-1]
    return kept
