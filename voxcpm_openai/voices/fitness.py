"""Whether a recording is fit for cloning, and what makes it even: trimming and levelling.

The bounds were set by the stock voices' clips: all of them pass as they are and with noise 10 dB
below them; none does at 5 dB, or driven far into clipping.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxcpm_openai.contracts import Samples

Levels = npt.NDArray[np.float64]

LEVEL = -26.0
"""The RMS of a cleaned clip, in dB below full scale: as loud as the stock voices' clips."""
CEILING = 0.95
"""No sample gets louder than this; a clip with high peaks stays below ``LEVEL``."""
EDGE = 0.15
"""Seconds that stay before and after the speech, which begins and ends a little before it shows."""
FADE = 0.005
"""Seconds over which an edge comes from nothing, and goes there."""

SILENT = -55.0
"""Below this many dB of full scale at its loudest, a recording holds nothing."""
QUIET = 36.0
"""What lies this many dB below the loudest is no speech."""
ABOVE_NOISE = 6.0
"""Nor is what stands less than this many dB above the quietest."""
STANDS_OUT = 14.0
"""dB between loud and quiet moments: 28 and more in clean speech, 16 at 10 dB of noise."""
HISS = 0.4
"""The flatness of the loud moments' spectra: 0.01 in clean speech, 0.56 in white noise."""
FLAT = 0.002
"""The share of samples in flat tops: below 0.0001 in clean speech, 0.06 where driven tenfold."""
CROWDED = 0.035
"""The share near the top: 0.013 in clean speech, 0.05 where it was driven tenfold and coded."""

FRAMES_A_SECOND = 100
WINDOW = 10
"""Frames over which loudness is smoothed: 0.1 s, so that a click is not taken for speech."""


class Unfit(Exception):
    """The recording cannot be used; the message says what was found and what to record instead."""


def fit(samples: Samples, rate: int, least: float) -> Samples:
    """Return a recording trimmed and levelled.

    ``least``: seconds of speech that it must hold; ``rate`` in Hz, 8000 and more.  Raises Unfit.
    """
    if not np.isfinite(samples).all():
        raise Unfit("The file is damaged: some of its samples are not numbers.")
    if len(samples) < least * rate:
        raise Unfit(_too_short(len(samples) / rate, "sound", least))
    centred = samples - np.mean(samples, dtype=np.float64)  # float64
    speech = _speech(centred, rate)
    spoken = _cut(centred, rate, speech)
    _require_contrast(spoken, rate)
    if (seconds := np.count_nonzero(speech) / FRAMES_A_SECOND) < least:
        raise Unfit(_too_short(seconds, "speech", least))
    _require_whole_waves(spoken, rate)
    return _levelled(spoken, rate)


def _too_short(seconds: float, what: str, least: float) -> str:
    return (
        f"The recording holds {seconds:.1f} s of {what}; it must hold {least:g} s. "
        "Five to fifteen seconds of natural speech are best."
    )


def _decibels(power: Levels) -> Levels:
    levels: Levels = 10 * np.log10(power + 1e-12)
    return levels


def _levels(samples: Levels, length: int) -> Levels:
    """Return the power of each frame of ``length`` samples; what is left at the end is dropped."""
    powers: Levels = np.mean(samples[: len(samples) // length * length].reshape(-1, length) ** 2, 1)
    return powers


def _speech(samples: Levels, rate: int) -> npt.NDArray[np.bool_]:
    """Say of each frame of 10 ms whether somebody speaks.  Raises Unfit for silence."""
    powers = _levels(samples, rate // FRAMES_A_SECOND)
    window = np.ones(WINDOW) / WINDOW
    smooth = _decibels(np.convolve(powers, window, "valid"))
    if (top := smooth.max()) < SILENT:
        raise Unfit(
            f"The recording is silent: its loudest moment is {-top:.0f} dB below full scale. "
            "Turn the microphone up, or go closer."
        )
    loud = _decibels(powers) > max(top - QUIET, smooth.min() + ABOVE_NOISE)
    return np.convolve(loud, window, "same") >= 0.5


def _cut(samples: Levels, rate: int, speech: npt.NDArray[np.bool_]) -> Levels:
    """Cut off what comes before the speech and after it, but ``EDGE``; all is kept if none."""
    (frames,) = np.nonzero(speech)
    if not len(frames):
        return samples
    frame = rate // FRAMES_A_SECOND
    edge = round(EDGE * rate)
    return samples[max(0, frames[0] * frame - edge) : (frames[-1] + 1) * frame + edge]


def _require_contrast(samples: Levels, rate: int) -> None:
    """Raise Unfit where loud and quiet moments are nearly equally loud, or the loud ones hiss."""
    levels = _decibels(_levels(samples, rate // 50))
    quiet, loud = np.percentile(levels, [10, 95])
    if loud - quiet < STANDS_OUT:
        raise Unfit(
            f"No speech stands out: it is {int(loud - quiet)} dB louder than what lies between the "
            f"words, and must be {STANDS_OUT:g}. It is covered by noise, hum or music, or nobody "
            "speaks. Record in a quiet room, close to the microphone."
        )
    if (flatness := _flatness(samples, rate)) > HISS:
        raise Unfit(
            f"The recording is mostly noise: its spectra have a flatness of {flatness:.2f}, where "
            "speech has 0.01. Record in a quiet room, close to the microphone."
        )


def _flatness(samples: Levels, rate: int) -> float:
    """Return the flatness of the loud moments' spectra: 0 for a tone, 0.56 for white noise."""
    length = rate * 32 // 1000
    frames = samples[: len(samples) // length * length].reshape(-1, length) * np.hanning(length)
    frequency = np.fft.rfftfreq(length, 1 / rate)
    heard = (frequency > 100) & (frequency < min(8000, 0.45 * rate))
    power = np.abs(np.fft.rfft(frames)[:, heard]) ** 2 + 1e-14
    level = 10 * np.log10(power.sum(axis=1))
    power = power[level > level.max() - 30]
    return float(np.median(np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)))


def _require_whole_waves(samples: Levels, rate: int) -> None:
    """Raise Unfit where the waves have lost their tops.

    Cut tops are flat; a lossy codec makes them ragged, but still too many samples lie near them.
    """
    flat = sum(_in_flat_tops(side, rate) for side in (samples, -samples)) / len(samples)
    crowded = max(np.mean(side > 0.7 * np.quantile(side, 0.9995)) for side in (samples, -samples))
    if flat > FLAT or crowded > CROWDED:
        share = flat if flat > FLAT else crowded
        raise Unfit(
            f"The recording is clipped: {share:.1%} of its samples lie at full scale, where the "
            "tops of the waves are cut off. Turn the microphone down, or go further away."
        )


def _in_flat_tops(samples: Levels, rate: int) -> int:
    """Count the samples that lie in a row at the highest value: for 0.125 ms and more."""
    least = max(3, rate // 8000)
    top = samples >= 0.99 * samples.max()
    edges = np.flatnonzero(np.diff(top, prepend=False, append=False))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= least].sum())


def _levelled(samples: Levels, rate: int) -> Samples:
    """Bring samples to the RMS ``LEVEL``, or below it where a peak would pass ``CEILING``."""
    gain = min(
        10 ** (LEVEL / 20) / np.sqrt(np.mean(samples**2)),
        CEILING / np.abs(samples).max(),
    )
    louder: Samples = (samples * gain).astype(np.float32)
    ramp = np.linspace(0, 1, round(FADE * rate), dtype=np.float32)
    louder[: len(ramp)] *= ramp
    louder[-len(ramp) :] *= ramp[::-1]
    return louder
