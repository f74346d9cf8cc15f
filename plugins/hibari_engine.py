"""The embedded engine: hibari's English voice, reshaped in pitch and formants into many."""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from voxcpm_openai import (
    AudioStream,
    Chunk,
    EngineSpec,
    InvalidRequest,
    Preset,
    Resampler,
    Samples,
    Segment,
    Settings,
    Turns,
    Unavailable,
    Usage,
    Utterance,
    Voice,
    hookimpl,
)

NAME = "hibari"
RATE = 24_000
CHUNK = 3_840
"""Samples in a chunk: 0.16 s."""
PATCH = 1_920
"""Samples in an output token: 80 ms."""
BIN = 20.0
"""Hz from bin to bin of hibari's spectra."""
VOICED = 40.0
"""hibari takes frames with an f0 above this many Hz for voiced."""
PEAK = np.float32(0.99)
"""The voices stay far below; what an odd text brings beyond is cut here."""
QUIET = 10 ** (-42 / 20)
"""What is weaker than this, beside the loudest 10 ms of a segment, is silence at its ends."""
EDGE = 720
"""Samples of that silence that stay: 30 ms."""
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

    ``pitch`` and ``formant`` are factors, ``pace`` is a rough one of the speed, ``range`` one of
    how far the melody moves; ``breath`` (the noise in the tone) and ``gain`` are in dB.
    """

    pitch: float = 1.0
    formant: float = 1.0
    pace: float = 1.0
    range: float = 1.0
    breath: float = 0.0
    gain: float = 0.0


def shape_of(voice: Voice) -> Shape:
    """Read ``voice.options["hibari"]``.  Raises InvalidRequest for what ``LIMITS`` forbids."""
    values: dict[str, float] = {}
    for key, value in voice.options[NAME].items():
        where = f"Voice {voice.id!r}: options.{NAME}.{key}"
        if key not in LIMITS:
            raise InvalidRequest(
                f"{where}: no such option; there are {', '.join(LIMITS)}.", param="voice"
            )
        low, high = LIMITS[key]
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise InvalidRequest(
                f"{where} = {value!r}: not a number from {low:g} to {high:g}.", param="voice"
            )
        values[key] = float(value)
    return Shape(**values)


class HibariStream:
    """The sound of one utterance, made segment by segment in the thread that calls ``next()``."""

    def __init__(self, hibari: Any, turns: Turns, utterance: Utterance) -> None:
        """``hibari``: a loaded ``hibari.Hibari``."""
        self._hibari = hibari
        self._turns = turns
        self._utterance = utterance
        self._shape = shape_of(utterance.voice)
        self._phonemes = 0
        self._made = 0  # samples
        self._closed = False
        self._ticket = turns.enter()
        self._chunks = self._speak()

    @property
    def usage(self) -> Usage:
        """Phonemes spoken, and patches of 80 ms made."""
        return Usage(max(1, self._phonemes), max(1, math.ceil(self._made / PATCH)))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        try:
            return next(self._chunks)
        except BaseException:
            # Here and not in a `finally` of the generator, which the garbage collector may run in
            # the midst of `Turns`, in a thread that holds its lock.
            self._turns.leave(self._ticket)
            raise

    def close(self) -> None:
        """Cancel; a segment that is being made is thrown away."""
        self._closed = True
        self._turns.leave(self._ticket)

    def _speak(self) -> Iterator[Chunk]:
        deadline, first_sound = self._ticket.arrived, None
        owed = np.zeros(0, np.float32)  # pauses before the first word
        for index, segment in enumerate(self._utterance.segments):
            if not self._turns.take(self._ticket, deadline):
                break
            try:
                samples = np.concatenate([owed, self._sound(index, segment)])
            finally:
                self._turns.give(self._ticket)
            if not self._phonemes:
                owed = samples
                continue
            owed = owed[:0]
            self._made += len(samples)
            first_sound = first_sound or time.monotonic()
            deadline = first_sound + self._made / RATE
            for start in range(0, len(samples), CHUNK):
                if not self._live():
                    return
                yield Chunk(samples[start : start + CHUNK], index)
        if self._live() and not self._phonemes:
            raise InvalidRequest(
                "There is nothing in this text that the hibari engine can speak: "
                "it knows English words, numbers and their punctuation.",
                param="input",
            )

    def _live(self) -> bool:
        """Return whether to go on.  Raises Unavailable when the engine, not the caller, ended."""
        if not self._closed and self._turns.shut:
            raise Unavailable("The hibari engine has stopped.")
        return not self._closed

    def _sound(self, index: int, segment: Segment) -> Samples:
        """Return a segment and its pause."""
        seed = self._utterance.seed
        rng = np.random.default_rng(None if seed is None else (seed, index))
        parts = [np.zeros(0, np.float32)]
        for phonemes in self._hibari.phonemize(segment.text):
            ids = self._hibari.ids(phonemes)  # with a pad at either end
            if len(ids) > 2:
                self._phonemes += len(ids) - 2
                parts.append(render(self._hibari, ids, self._shape, rng))
        pause = np.zeros(round(segment.pause * RATE), np.float32)
        return np.concatenate([trim(np.concatenate(parts)), pause])


def render(hibari: Any, ids: list[int], shape: Shape, rng: np.random.Generator) -> Samples:
    """Speak phoneme ids in the shape of a voice: samples at 24 kHz.

    Resampling moves pitch and formants and stretches time, all together; the pitch and the time
    that are not wanted are taken out beforehand.
    """
    from hibari import dsp

    feeds = {
        "ids": np.asarray([ids], np.int64),
        "speed": np.asarray([shape.pace / shape.formant], np.float32),
    }
    # Log magnitudes and phases of the tone, lh and th, and of two noises, ln and the far stronger
    # lr with phi: each (601, frames); f0: (frames,), in Hz.
    lh, th, ln, lr, phi, f0 = (out[0] for out in hibari.sess.run(None, feeds))
    factor = shape.pitch / shape.formant
    voiced = f0 > VOICED
    if voiced.any() and (factor, shape.range) != (1, 1):
        lh, th = between_harmonics(lh, th, f0, voiced)
        # A lower voice has more harmonics below the same ceiling: as much sound, spread wider.
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
    """Return the tone's spectrum, fit for another f0: known at the harmonics, drawn between them.

    Between the harmonics of its own f0 the network makes up for a source that is all but silent
    there; harmonics that move into those gaps would boom.
    """
    step = f0[voiced] / BIN  # (voiced frames,), bins from harmonic to harmonic
    place = np.arange(len(lh))[:, None] / step  # (601, voiced frames), in harmonics
    top = (len(lh) - 1) // step

    def at(values: Samples, harmonic: npt.NDArray[np.floating[Any]]) -> Samples:
        bins = np.rint(np.clip(harmonic, 1, top) * step).astype(np.intp)
        return np.take_along_axis(values[:, voiced], bins, axis=0)

    lower = np.floor(place)
    share = (place - lower).astype(np.float32)
    drawn, phases = lh.copy(), th.copy()
    drawn[:, voiced] = at(lh, lower) * (1 - share) + at(lh, lower + 1) * share
    phases[:, voiced] = at(th, np.rint(place))
    return drawn, phases


def retune(f0: Samples, voiced: npt.NDArray[np.bool_], factor: float, span: float) -> Samples:
    """Scale the f0 of voiced frames, and its way from their mean by ``span``, in log frequency."""
    log = np.log(f0[voiced])
    mean = log.mean()
    tuned = f0.copy()
    # What was voiced stays so.
    tuned[voiced] = np.maximum(np.exp(mean + (log - mean) * span) * factor, VOICED + 1)
    return tuned


def trim(samples: Samples) -> Samples:
    """Cut the silence at both ends down to 30 ms; what is nothing but silence stays whole."""
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


class HibariEngine:
    """Speaks English on the CPU, many times faster than it sounds."""

    sample_rate = RATE
    honours = frozenset({"seed"})
    clones = False
    needs_transcript = False
    designs = False
    # Asked to hurry, the network follows in leaps (nothing between 1.16 and 1.45 times as fast),
    # so that all changes of speed are left to time stretching, which is exact.
    native_speed = (1.0, 1.0)
    languages = ("en",)

    def __init__(self, hibari: Any, threads: int) -> None:
        """``hibari``: a loaded ``hibari.Hibari``; ``threads``: segments made at once."""
        self._hibari = hibari
        self._turns = Turns(threads)

    def speak(self, utterance: Utterance) -> AudioStream:
        """Begin to speak.  Raises InvalidRequest for a voice with options that it cannot use."""
        return HibariStream(self._hibari, self._turns, utterance)

    def status(self) -> Mapping[str, object]:
        """Return ``running``, ``waiting``, ``streams`` and ``threads``."""
        return self._turns.status()

    def stop(self) -> None:
        """End all streams with Unavailable."""
        self._turns.shut_down()


def start(settings: Settings) -> HibariEngine:
    """Load the network and the pronunciation, and speak once: the first time is slow."""
    from hibari import Hibari

    hibari = Hibari(threads=1)
    hibari.g2p.oov("hibari")  # both are made when they are first asked for
    hibari("Good morning.", seed=0)
    return HibariEngine(hibari, settings.threads or os.cpu_count() or 1)


def available(_settings: Settings) -> str | None:
    """Return None, or which package is missing."""
    for package in ("hibari", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"The package {package} is missing: pip install hibari-tts==0.2.1"
    return None


@hookimpl
def register_engines() -> list[EngineSpec]:
    """Give the embedded engine."""
    return [EngineSpec(NAME, start, available)]


@hookimpl
def register_presets() -> list[Preset]:
    """Give the model id that names this engine."""
    return [Preset(NAME, engine=NAME)]
