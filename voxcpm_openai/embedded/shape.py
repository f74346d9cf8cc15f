"""The voices of the embedded engine: hibari's own voice, changed in pitch and formants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxcpm_openai.audio import Resampler
from voxcpm_openai.contracts import Samples, Voice
from voxcpm_openai.errors import InvalidRequest

NAME = "hibari"
"""The key of a voice's options."""
RATE = 24_000
"""Samples per second."""
BIN = 20.0
"""Hz between the bins of hibari's spectra."""
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
    "gain": (-12.0, 12.0),
}
"""The ranges of ``Shape``.  They keep the speed of the network, ``pace / formant``, at 0.5 to 2."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a voice differs from hibari's own.

    ``pitch``, ``formant``, ``pace`` (the speed, roughly) and ``range`` (of the melody) are factors;
    ``breath`` (the noise in the tone) and ``gain`` are in dB.
    """

    pitch: float = 1.0
    formant: float = 1.0
    pace: float = 1.0
    range: float = 1.0
    breath: float = 0.0
    gain: float = 0.0


def shape_of(voice: Voice) -> Shape:
    """Return the shape in ``voice.options["hibari"]``.  Raises InvalidRequest; see ``LIMITS``."""
    values: dict[str, float] = {}
    for key, value in voice.options[NAME].items():
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

    Resampling changes formants, pitch and duration; f0 and speed compensate for the latter two.
    """
    from hibari import dsp

    feeds = {
        "ids": np.asarray([ids], np.int64),
        "speed": np.asarray([shape.pace / shape.formant], np.float32),
    }
    # Log magnitudes and phases of the tone (lh, th), and of two noises: ln, and the far stronger
    # lr with phi.  Each is (601, frames); f0 is (frames,), in Hz.
    lh, th, ln, lr, phi, f0 = (out[0] for out in hibari.sess.run(None, feeds))
    factor = shape.pitch / shape.formant
    voiced = f0 > VOICED
    if voiced.any() and (factor, shape.range) != (1, 1):
        lh, th = between_harmonics(lh, th, f0, voiced)
        # A lower voice has more harmonics in the same band: the same energy in more of them.
        lh += np.float32(0.5 * math.log(factor))
        f0 = retune(f0, voiced, factor, shape.range)
    lr[:, voiced] += np.float32(shape.breath / 20 * math.log(10))
    samples = dsp.synth(lh, th, ln, lr, phi, f0, rng)
    resampler = Resampler(round(RATE * shape.formant), RATE)
    samples = np.concatenate([resampler.feed(samples), resampler.finish()])
    return np.clip(samples * np.float32(10 ** (shape.gain / 20)), -PEAK, PEAK)


def between_harmonics(
    lh: Samples, th: Samples, f0: Samples, voiced: npt.NDArray[np.bool_]
) -> tuple[Samples, Samples]:
    """Return the tone's spectrum, interpolated between the harmonics of its f0.

    Between them the network amplifies a source that is almost silent; other harmonics would boom.
    """
    step = f0[voiced] / BIN  # (voiced frames,), bins between harmonics
    place = np.arange(len(lh))[:, None] / step  # (601, voiced frames), in harmonics
    top = (len(lh) - 1) // step

    def at(values: Samples, harmonic: npt.NDArray[np.floating[Any]]) -> Samples:
        bins = np.rint(np.clip(harmonic, 1, top) * step).astype(np.intp)
        return np.take_along_axis(values[:, voiced], bins, axis=0)

    lower = np.floor(place)
    share = (place - lower).astype(np.float32)
    levels, phases = lh.copy(), th.copy()
    levels[:, voiced] = at(lh, lower) * (1 - share) + at(lh, lower + 1) * share
    phases[:, voiced] = at(th, np.rint(place))
    return levels, phases


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
