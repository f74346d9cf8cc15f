"""The embedded engine: hibari's English voice, changed in pitch and formants into many."""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

import numpy as np

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
    Samples,
    Segment,
    Settings,
    Unavailable,
    Usage,
    Utterance,
    hookimpl,
)
from voxcpm_openai.embedded.bases import Bases
from voxcpm_openai.embedded.phonemes import Phonemizer
from voxcpm_openai.embedded.shape import NAME, RATE, render, shape_of, trim

CHUNK = 3_840
"""Samples of a chunk: 0.16 s."""
PATCH = 1_920
"""Samples of an output token: 80 ms."""


class HibariStream:
    """The audio of one utterance, made segment by segment in the thread that calls ``next()``."""

    def __init__(
        self, hibari: Any, phonemize: Phonemizer, gate: DeadlineGate, utterance: Utterance
    ) -> None:
        """``hibari``: a loaded ``hibari.Hibari``."""
        self._hibari = hibari
        self._phonemize = phonemize
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
        for phonemes in self._phonemize(segment):
            ids = self._hibari.ids(phonemes)  # with a pad at either end
            if len(ids) > 2:
                self._phonemes += len(ids) - 2
                parts.append(render(self._hibari, ids, self._shape, rng))
        pause = np.zeros(round(segment.pause * RATE), np.float32)
        return np.concatenate([trim(np.concatenate(parts)), pause])


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
        spoken_text=True,
        phonemes=True,
    )

    def __init__(self, hibari: Any, threads: int) -> None:
        """``hibari``: a loaded ``hibari.Hibari``; ``threads``: segments synthesized at once."""
        self._bases = Bases(hibari)
        self._phonemizers = {id(one): Phonemizer(one) for one in self._bases.networks}
        self._gate = DeadlineGate(threads)

    def synthesize(self, utterance: Utterance) -> AudioStream:
        """Start a stream.  Raises InvalidRequest for a voice with options that are not valid."""
        hibari, voice = self._bases.speaker(utterance.voice)
        return HibariStream(
            hibari, self._phonemizers[id(hibari)], self._gate, replace(utterance, voice=voice)
        )

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
            capabilities=HibariEngine.capabilities,
        )
    ]


@hookimpl
def register_presets() -> list[Preset]:
    """Offer the model id that names this engine."""
    return [Preset(NAME, engine=NAME)]
