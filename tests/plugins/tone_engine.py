"""An engine for tests: each segment is half a second of a tone, and some words are commands.

``fail-early`` raises before the first chunk, ``fail-late`` after it, ``hang`` says nothing until
the stream is closed, ``hang-late`` after the first chunk, ``silent`` yields no sound at all.  What
happened to the streams can be read in ``status()``, and so in ``/ready``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np

from voxcpm_openai import (
    Chunk,
    Engine,
    EngineSpec,
    Preset,
    Settings,
    Unavailable,
    Usage,
    Utterance,
    Voice,
    hookimpl,
)

RATE = 24_000
CHUNK = 3_840
CHUNKS = 3


class ToneStream:
    def __init__(self, engine: ToneEngine, utterance: Utterance) -> None:
        self.engine = engine
        self.closed = threading.Event()
        self.usage = Usage(input_tokens=len(utterance.segments), output_tokens=CHUNKS)
        self._chunks = self._make(utterance)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        if self.closed.is_set():
            raise StopIteration
        return next(self._chunks)

    def close(self) -> None:
        if not self.closed.is_set():
            self.engine.open -= 1
        self.closed.set()

    def _make(self, utterance: Utterance) -> Iterator[Chunk]:
        for index, segment in enumerate(utterance.segments):
            if "fail-early" in segment.text:
                raise Unavailable("the tone engine was told to fail early")
            if "silent" in segment.text:
                return
            for k in range(CHUNKS):
                if "hang" in segment.text and (k == 1 or "hang-late" not in segment.text):
                    self.engine.hanging += 1
                    self.closed.wait()
                    self.engine.hanging -= 1
                    return
                if k == 1 and "fail-late" in segment.text:
                    raise RuntimeError("the tone engine was told to fail late")
                time = np.arange(k * CHUNK, (k + 1) * CHUNK) * (utterance.speed / RATE)
                pitch = 440 + (utterance.seed or 0) % 400 if self.engine.designs else 440
                yield Chunk((0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32), index)


class ToneEngine:
    sample_rate = RATE
    honours = frozenset({"seed"})
    clones = False
    needs_transcript = False
    designs = False
    native_speed = (1.0, 1.0)
    languages = ("en",)

    def __init__(self) -> None:
        self.open = 0
        self.hanging = 0
        self.spoken: list[Utterance] = []

    def speak(self, utterance: Utterance) -> ToneStream:
        self.open += 1
        self.spoken.append(utterance)
        return ToneStream(self, utterance)

    def status(self) -> Mapping[str, object]:
        return {"open": self.open, "hanging": self.hanging, "spoken": len(self.spoken)}

    def stop(self) -> None:
        pass


class CloningToneEngine(ToneEngine):
    """Takes any voice, and draws one after a description: the pitch follows the seed."""

    clones = True
    designs = True


def start(settings: Settings) -> Engine:
    return ToneEngine()


def start_cloning(settings: Settings) -> Engine:
    return CloningToneEngine()


@hookimpl
def register_engines() -> list[EngineSpec]:
    return [
        EngineSpec("tone", start=start, available=lambda settings: None),
        EngineSpec("cloning-tone", start=start_cloning, available=lambda settings: None),
    ]


@hookimpl
def register_presets() -> list[Preset]:
    return [Preset("tone", engine="tone")]


@hookimpl
def register_voices() -> list[Voice]:
    tone = {"tone": {"pitch": 440}}
    return [
        Voice(id="alloy", name="Alloy", options=tone),
        Voice(id="sine", name="Sine", options=tone),
        Voice(id="mute", name="Mute"),
    ]
