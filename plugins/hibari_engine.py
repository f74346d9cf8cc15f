"""The embedded engine: hibari's English voice, changed in pitch and formants into many."""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from voxcpm_openai import (
    AudioStream,
    Capabilities,
    Chunk,
    DeadlineGate,
    Engine,
    EngineSpec,
    EngineStatus,
    InvalidRequest,
    PlayoutClock,
    Preset,
    Resampler,
    Samples,
    Segment,
    Settings,
    Unavailable,
    Usage,
    Utterance,
    Voice,
    hookimpl,
)

NAME = "hibari"
RATE = 24_000
CHUNK = 3_840
"""Samples of a chunk: 0.16 s."""
PATCH = 1_920
"""Samples of an output token: 80 ms."""
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


class HibariStream:
    """The audio of one utterance, made segment by segment in the thread that calls ``next()``."""

    def __init__(self, hibari: Any, gate: DeadlineGate, utterance: Utterance) -> None:
        """``hibari``: a loaded ``hibari.Hibari``."""
        self._hibari = hibari
        self._gate = gate
        self._utterance = utterance
        self._shape = shape_of(utterance.voice)
        self._phonemes = 0
        self._made = 0  # samples
        self._closed = False
        self._ticket = gate.register()
        self._chunks = self._synthesize()

    @property
    def usage(self) -> Usage:
        """The phonemes and the patches of 80 ms that were made."""
        return Usage(max(1, self._phonemes), max(1, math.ceil(self._made / PATCH)))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        try:
            return next(self._chunks)
        except BaseException:
            # Not in the generator: the garbage collector might close it while the gate is locked.
            self._gate.unregister(self._ticket)
            raise

    def close(self) -> None:
        """Cancel; a segment that is being synthesized is dropped."""
        self._closed = True
        self._gate.unregister(self._ticket)

    def _synthesize(self) -> Iterator[Chunk]:
        clock = PlayoutClock(self._ticket.arrived, self._utterance.tempo)
        lead = np.zeros(0, np.float32)  # pauses before the first word
        for index, segment in enumerate(self._utterance.segments):
            if not self._gate.acquire(self._ticket, clock.deadline):
                break
            try:
                samples = np.concatenate([lead, self._audio(index, segment)])
            finally:
                self._gate.release(self._ticket)
            if not self._phonemes:
                lead = samples
                continue
            lead = lead[:0]
            self._made += len(samples)
            clock.deliver(len(samples) / RATE, time.monotonic())
            for start in range(0, len(samples), CHUNK):
                if not self._live():
                    return
                yield Chunk(samples[start : start + CHUNK], index)
        if self._live() and not self._phonemes:
            raise InvalidRequest(
                "There is nothing in this text that the hibari engine can speak: "
                "it knows English words, numbers and punctuation.",
                param="input",
            )

    def _live(self) -> bool:
        """Return whether to go on.  Raises Unavailable if the engine was stopped."""
        if not self._closed and self._gate.closed:
            raise Unavailable("The hibari engine has stopped.")
        return not self._closed

    def _audio(self, index: int, segment: Segment) -> Samples:
        """Return the audio of a segment and its pause."""
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


class HibariEngine(Engine):
    """Synthesizes English on the CPU, many times faster than real time."""

    capabilities = Capabilities(
        sample_rate=RATE,
        languages=("en",),
        params=frozenset({"seed"}),
        # The network changes its speed in steps only (none between 1.16 and 1.45).
        native_speed=(1.0, 1.0),
        # Nobody expects a cloned voice to be spoken by this engine's own speaker.
        default_speaker=False,
    )

    def __init__(self, hibari: Any, threads: int) -> None:
        """``hibari``: a loaded ``hibari.Hibari``; ``threads``: segments synthesized at once."""
        self._hibari = hibari
        self._gate = DeadlineGate(threads)

    def synthesize(self, utterance: Utterance) -> AudioStream:
        """Start a stream.  Raises InvalidRequest for a voice with options that are not valid."""
        return HibariStream(self._hibari, self._gate, utterance)

    def status(self) -> EngineStatus:
        """Return the streams that are open, that synthesize, and that wait."""
        return EngineStatus(
            state="stopped" if self._gate.closed else "ready",
            details={"threads": self._gate.places},
            **self._gate.counts()._asdict(),
        )

    def stop(self) -> None:
        """End all streams with Unavailable."""
        self._gate.close()


def start(settings: Settings) -> HibariEngine:
    """Load the network and the pronunciations, and synthesize once: the first time is slow."""
    from hibari import Hibari

    hibari = Hibari(threads=1)
    hibari.g2p.oov("hibari")  # loaded at first use, as the network is
    hibari("Good morning.", seed=0)
    return HibariEngine(hibari, settings.threads or os.cpu_count() or 1)


def unavailable_reason(_settings: Settings) -> str | None:
    """Return which package is missing, or None."""
    for package in ("hibari", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"The package {package} is missing: pip install hibari-tts==0.2.1"
    return None


@hookimpl
def register_engines() -> list[EngineSpec]:
    """Offer the embedded engine."""
    return [
        EngineSpec(
            NAME,
            start,
            unavailable_reason,
            priority=50,
            install_hint="English on any CPU: pip install hibari-tts==0.2.1",
        )
    ]


@hookimpl
def register_presets() -> list[Preset]:
    """Offer the model id that names this engine."""
    return [Preset(NAME, engine=NAME)]
