"""Quality checks of recordings, and their normalization: trimming and level.

The bounds are set by the stock voices' clips.  All of them pass unchanged and with noise at a
signal-to-noise ratio of 10 dB; none passes at 5 dB, or when it is driven far into clipping.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxcpm_openai.contracts import Samples

Levels = npt.NDArray[np.float64]

LEVEL = -26.0
"""The RMS of a normalized clip in dBFS: as loud as the stock voices' clips."""
MAX_PEAK = 0.95
"""The highest sample; a clip with high peaks stays below ``LEVEL``."""
EDGE = 0.15
"""Seconds that are kept before and after the detected speech, whose ends are soft."""
FADE = 0.005
"""Seconds of the fade-in and the fade-out."""

SILENCE = -55.0
"""dBFS: a recording whose loudest moment is below this is silent."""
SPEECH_RANGE = 36.0
"""dB: a frame that is further below the loudest one is not speech ..."""
ABOVE_NOISE = 6.0
"""dB: ... nor is one that is less than this above the quietest frame."""
MIN_CONTRAST = 14.0
"""dB between loud and quiet moments: 28 and more in clean speech, 16 at 10 dB of noise."""
MAX_FLATNESS = 0.4
"""Spectral flatness of the loud moments: 0.01 in clean speech, 0.56 in white noise."""
MAX_CLIPPED = 0.002
"""Share of samples in flat peaks: below 0.0001 in clean speech, 0.06 at a gain of 10."""
MAX_NEAR_PEAK = 0.035
"""Share of samples near the peak: 0.013 in clean speech, 0.05 if clipped, then lossily coded."""

FRAMES_PER_SECOND = 100
WINDOW = 10
"""Frames over which loudness is smoothed: 0.1 s, so that a click does not count as speech."""


class ClipRejected(Exception):
    """The recording cannot be used; the message says what is wrong and how to record instead."""


def normalize_clip(samples: Samples, rate: int, min_speech: float) -> Samples:
    """Return a recording, shape (n,), trimmed and at ``LEVEL``.

    ``min_speech``: the least seconds of speech; ``rate`` in Hz, at least 8000.  Raises
    ClipRejected.
    """
    if not np.isfinite(samples).all():
        raise ClipRejected("The file is damaged: some of its samples are not numbers.")
    if len(samples) < min_speech * rate:
        raise ClipRejected(_too_short(len(samples) / rate, "audio", min_speech))
    centred = samples - np.mean(samples, dtype=np.float64)  # float64
    speech = _speech(centred, rate)
    trimmed = _trim(centred, rate, speech)
    _require_contrast(trimmed, rate)
    if (seconds := np.count_nonzero(speech) / FRAMES_PER_SECOND) < min_speech:
        raise ClipRejected(_too_short(seconds, "speech", min_speech))
    _require_unclipped(trimmed, rate)
    return _set_level(trimmed, rate)


def _too_short(seconds: float, kind: str, min_seconds: float) -> str:
    return (
        f"The recording has {seconds:.1f} s of {kind}; it must have at least {min_seconds:g} s. "
        "Five to fifteen seconds of natural speech are best."
    )


def _decibels(power: Levels) -> Levels:
    levels: Levels = 10 * np.log10(power + 1e-12)
    return levels


def _levels(samples: Levels, length: int) -> Levels:
    """Return the power of each frame of ``length`` samples; an incomplete last one is dropped."""
    powers: Levels = np.mean(samples[: len(samples) // length * length].reshape(-1, length) ** 2, 1)
    return powers


def _speech(samples: Levels, rate: int) -> npt.NDArray[np.bool_]:
    """Return for each frame of 10 ms whether it is speech.  Raises ClipRejected for silence."""
    powers = _levels(samples, rate // FRAMES_PER_SECOND)
    window = np.ones(WINDOW) / WINDOW
    smooth = _decibels(np.convolve(powers, window, "valid"))
    if (top := smooth.max()) < SILENCE:
        raise ClipRejected(
            f"The recording is silent: its loudest moment is {-top:.0f} dB below full scale. "
            "Raise the gain of the microphone, or move closer to it."
        )
    loud = _decibels(powers) > max(top - SPEECH_RANGE, smooth.min() + ABOVE_NOISE)
    return np.convolve(loud, window, "same") >= 0.5


def _trim(samples: Levels, rate: int, speech: npt.NDArray[np.bool_]) -> Levels:
    """Cut what is more than ``EDGE`` before or after the speech; without speech, keep all."""
    (frames,) = np.nonzero(speech)
    if not len(frames):
        return samples
    frame = rate // FRAMES_PER_SECOND
    edge = round(EDGE * rate)
    return samples[max(0, frames[0] * frame - edge) : (frames[-1] + 1) * frame + edge]


def _require_contrast(samples: Levels, rate: int) -> None:
    """Raise ClipRejected if loud and quiet moments are too similar, or loud ones are noise."""
    levels = _decibels(_levels(samples, rate // 50))
    quiet, loud = np.percentile(levels, [10, 95])
    if loud - quiet < MIN_CONTRAST:
        raise ClipRejected(
            f"No clear speech was found: the loud moments are only {int(loud - quiet)} dB above "
            f"the quiet ones, and must be {MIN_CONTRAST:g}. There is noise, hum or music, or no "
            "speech at all. Record in a quiet room, close to the microphone."
        )
    if (flatness := _flatness(samples, rate)) > MAX_FLATNESS:
        raise ClipRejected(
            f"The recording is mostly noise: its spectral flatness is {flatness:.2f}; that of "
            "speech is 0.01. Record in a quiet room, close to the microphone."
        )


def _flatness(samples: Levels, rate: int) -> float:
    """Return the spectral flatness of the loud moments: 0 for a tone, 0.56 for white noise."""
    length = rate * 32 // 1000
    frames = samples[: len(samples) // length * length].reshape(-1, length) * np.hanning(length)
    frequency = np.fft.rfftfreq(length, 1 / rate)
    audible = (frequency > 100) & (frequency < min(8000, 0.45 * rate))
    power = np.abs(np.fft.rfft(frames)[:, audible]) ** 2 + 1e-14
    level = 10 * np.log10(power.sum(axis=1))
    power = power[level > level.max() - 30]
    return float(np.median(np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)))


def _require_unclipped(samples: Levels, rate: int) -> None:
    """Raise ClipRejected if the recording is clipped.

    Clipped peaks are flat.  A lossy codec makes them uneven, but too many samples stay near them.
    """
    flat = sum(_count_in_flat_peaks(side, rate) for side in (samples, -samples)) / len(samples)
    near_peak = max(np.mean(side > 0.7 * np.quantile(side, 0.9995)) for side in (samples, -samples))
    if flat > MAX_CLIPPED or near_peak > MAX_NEAR_PEAK:
        share = flat if flat > MAX_CLIPPED else near_peak
        raise ClipRejected(
            f"The recording is clipped: {share:.1%} of its samples are at full scale. Lower the "
            "gain of the microphone, or move away from it."
        )


def _count_in_flat_peaks(samples: Levels, rate: int) -> int:
    """Count the samples in runs of at least 0.125 ms at the highest value."""
    shortest = max(3, rate // 8000)
    at_peak = samples >= 0.99 * samples.max()
    edges = np.flatnonzero(np.diff(at_peak, prepend=False, append=False))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= shortest].sum())


def _set_level(samples: Levels, rate: int) -> Samples:
    """Scale samples to the RMS ``LEVEL``, or less where a peak would exceed ``MAX_PEAK``; fade."""
    gain = min(
        10 ** (LEVEL / 20) / np.sqrt(np.mean(samples**2)),
        MAX_PEAK / np.abs(samples).max(),
    )
    scaled: Samples = (samples * gain).astype(np.float32)
    ramp = np.linspace(0, 1, round(FADE * rate), dtype=np.float32)
    scaled[: len(ramp)] *= ramp
    scaled[-len(ramp) :] *= ramp[::-1]
    return scaled
