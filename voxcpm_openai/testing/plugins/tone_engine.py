"""Offers an engine for tests: each segment is half a second of a tone; some words are commands.

``fail-early`` raises before the first chunk, ``fail-late`` after it; ``hang`` waits until the
stream is closed, ``hang-late`` after the first chunk; ``silent`` yields nothing; ``paced`` yields
40 chunks, each when the file ``VOXCPM_TONE_PACE`` has a byte for it.  The status (``/ready``)
counts the streams.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from voxcpm_openai import (
    Capabilities,
    Chunk,
    Engine,
    EngineSpec,
    EngineStatus,
    Preset,
    Settings,
    Unavailable,
    Usage,
    Utterance,
    Voice,
    hookimpl,
    plugin_settings,
    setting,
)

RATE = 24_000
CHUNK = 3_840
CHUNKS = 3
PACED_CHUNKS = 40
POLL = 0.005
"""Seconds between two looks at the file that paces streams."""


@plugin_settings("tone")
class ToneSettings:
    """The settings of the tone engines."""

    pace: Path | None = setting(
        None,
        "A file: paced streams have as many chunks as it has bytes. None: they do not wait.",
        file=True,
    )


class ToneStream:
    """A tone of three chunks per segment."""

    def __init__(self, engine: ToneEngine, utterance: Utterance) -> None:
        self.engine = engine
        self.closed = threading.Event()
        self.usage = Usage(input_tokens=len(utterance.segments), output_tokens=CHUNKS)
        self._chunks = self._make(utterance)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        """Return the next chunk."""
        if self.closed.is_set():
            raise StopIteration
        return next(self._chunks)

    def close(self) -> None:
        """Cancel; wake a hanging ``next``."""
        with self.engine.lock:
            if not self.closed.is_set():
                self.engine.open -= 1
            self.closed.set()

    def _make(self, utterance: Utterance) -> Iterator[Chunk]:
        for index, segment in enumerate(utterance.segments):
            if "fail-early" in segment.text:
                raise Unavailable("the tone engine was told to fail early")
            if "silent" in segment.text:
                return
            paced = "paced" in segment.text
            for k in range(PACED_CHUNKS if paced else CHUNKS):
                if paced:
                    self._wait_for_pace(k)
                if "hang" in segment.text and (k == 1 or "hang-late" not in segment.text):
                    self.engine.count_hanging(1)
                    self.closed.wait()
                    self.engine.count_hanging(-1)
                    return
                if k == 1 and "fail-late" in segment.text:
                    raise RuntimeError("the tone engine was told to fail late")
                time = np.arange(k * CHUNK, (k + 1) * CHUNK) * (utterance.speed / RATE)  # (n,)
                pitch = 440.0
                if self.engine.capabilities.voice_design:
                    pitch += (utterance.seed or 0) % 400
                yield Chunk((0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32), index)

    def _wait_for_pace(self, chunk: int) -> None:
        """Wait until a chunk is due, or the stream is closed."""
        while (pace := self.engine.pace) and pace.stat().st_size <= chunk:
            if self.closed.wait(POLL):
                return


class ToneEngine(Engine):
    """Speaks with voices that have options for ``tone``; records all ``utterances``."""

    capabilities = Capabilities(
        sample_rate=RATE, languages=("en",), params=frozenset({"seed"}), default_speaker=False
    )

    def __init__(self, pace: Path | None = None) -> None:
        """``pace``: see ``ToneSettings``."""
        self.pace = pace
        self.lock = threading.Lock()  # guards the numbers
        self.open = 0
        self.hanging = 0
        self.utterances: list[Utterance] = []

    def synthesize(self, utterance: Utterance) -> ToneStream:
        """Start a stream."""
        with self.lock:
            self.open += 1
            self.utterances.append(utterance)
        return ToneStream(self, utterance)

    def status(self) -> EngineStatus:
        """Return the number of open streams; ``details``: of hanging ones, and of all."""
        details = {"hanging": self.hanging, "started": len(self.utterances)}
        return EngineStatus(streams=self.open, running=self.open, details=details)

    def count_hanging(self, change: int) -> None:
        """Count a stream that waits for its end."""
        with self.lock:
            self.hanging += change


class CloningToneEngine(ToneEngine):
    """Speaks with any voice and designs voices: the pitch follows the seed."""

    capabilities = Capabilities(
        sample_rate=RATE,
        languages=("en",),
        params=frozenset({"seed"}),
        cloning=True,
        voice_design=True,
    )


def start(settings: Settings) -> Engine:
    """Start an engine that cannot clone."""
    return ToneEngine(settings.of(ToneSettings).pace)


def start_cloning(settings: Settings) -> Engine:
    """Start an engine that clones and designs."""
    return CloningToneEngine(settings.of(ToneSettings).pace)


@hookimpl
def register_engines() -> list[EngineSpec]:
    """Offer both engines."""
    return [
        EngineSpec("tone", start, settings=ToneSettings),
        EngineSpec("cloning-tone", start_cloning, settings=ToneSettings),
    ]


@hookimpl
def register_presets() -> list[Preset]:
    """Offer a model id of the first engine."""
    return [Preset("tone", engine="tone")]


@hookimpl
def register_voices() -> list[Voice]:
    """Offer two voices for the first engine, and one that it cannot speak with."""
    tone = {"tone": {"pitch": 440}}
    return [
        Voice(id="alloy", name="Alloy", options=tone),
        Voice(id="sine", name="Sine", options=tone),
        Voice(id="mute", name="Mute"),
    ]
