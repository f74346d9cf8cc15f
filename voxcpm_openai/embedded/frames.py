"""Waveforms from hibari's spectra, in frames longer or shorter than those of the network.

Longer frames move the formants down.  Resampling the waveform would do the same and leave nothing
above the moved band; here the band above is filled before the frames become samples.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from voxcpm_openai.contracts import Samples

Spectrum = npt.NDArray[np.complex64]

HOP = 300
"""Samples from one of the network's frames to the next; a frame has four times as many."""
BINS = 601
"""The bins of the network's spectra."""
OVERLAP = 4
"""Frames that overlap at a sample."""
FILL = np.float32(10 ** (-3 / 20))
"""The level of the filled band, relative to the band below the edge that it mirrors."""


def spectrum(outputs: list[Any], rng: np.random.Generator) -> Spectrum:
    """Return the spectra of the network's frames, shape (601, frames), as ``dsp.synth`` has them.

    ``outputs``: log magnitudes and phases of the tone (lh, th), and of two noises: ln, and the far
    stronger lr with phi, each (601, frames); f0 (frames,), in Hz.
    """
    from hibari import dsp

    lh, th, ln, lr, phi, f0 = outputs
    tone: Spectrum = dsp.stft(dsp.pulses(f0), lh.shape[1])
    turn = np.empty(lh.shape, np.complex64)
    tone *= polar(turn, dsp.ex(lh), np.tanh(th) * np.float32(np.pi))
    noise = rng.standard_normal((BINS, 2 * lh.shape[1]), dtype=np.float32).view(np.complex64)
    noise *= dsp.ex(ln)
    tone += noise
    tone += polar(turn, dsp.ex(lr), phi)
    return tone


def polar(out: Spectrum, magnitude: Samples, phase: Samples) -> Spectrum:
    """Write complex numbers of these magnitudes and phases (radians) into ``out``; return it."""
    np.cos(phase, out=out.real)
    np.sin(phase, out=out.imag)
    out *= magnitude
    return out


def waveform(spectra: Spectrum, hop: int) -> Samples:
    """Return the samples of spectra of shape (601, frames), ``hop`` samples a frame.

    A hop of 300 is the network's; ``h`` scales durations by h / 300 and frequencies by 300 / h.
    """
    from hibari import dsp

    size, count = OVERLAP * hop, spectra.shape[1]
    window, norm = hann(hop), overlap_norm(hop, count)
    bins = filled(spectra, size // 2 + 1) * np.float32(hop / HOP)
    frames = dsp.irfft(bins.T, size, 1)  # (frames, size)
    frames *= window
    blocks = frames.reshape(count, OVERLAP, hop)
    samples = np.zeros((count + OVERLAP - 1, hop), np.float32)
    for part in range(OVERLAP):
        samples[part : part + count] += blocks[:, part]
    samples *= norm
    return samples.reshape(-1)[size // 2 : size // 2 + count * hop]


def filled(spectra: Spectrum, bins: int) -> Spectrum:
    """Return spectra of ``bins`` bins: cut, or with a mirror image of the highest ones above them.

    The image keeps the course of the sound in time: a hiss stays a hiss, a click a click.
    """
    if bins <= BINS:
        return spectra[:bins]
    edge = BINS - 1
    image = np.conj(spectra[2 * edge - bins + 1 : edge][::-1]) * FILL
    return np.concatenate([spectra, image])


@lru_cache(maxsize=16)
def hann(hop: int) -> Samples:
    """Return the periodic Hann window of a frame."""
    turn = 2 * np.pi * np.arange(OVERLAP * hop) / (OVERLAP * hop)
    return (0.5 - 0.5 * np.cos(turn)).astype(np.float32)


@lru_cache(maxsize=16)
def overlap_norm(hop: int, count: int) -> Samples:
    """Return 1 / the sum of the squared windows of ``count`` frames, shape (count + 3, hop)."""
    squared = (hann(hop) ** 2).reshape(OVERLAP, hop)
    total = np.zeros((count + OVERLAP - 1, hop), np.float32)
    for part in range(OVERLAP):
        total[part : part + count] += squared[part]
    return np.reciprocal(np.maximum(total, 1e-11), dtype=np.float32)
