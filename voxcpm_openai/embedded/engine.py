"""The embedded engine: a synthesizer for each language, heard as one stream."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np

from voxcpm_openai.contracts import (
    AudioStream,
    Capabilities,
    Chunk,
    Engine,
    EngineStatus,
    Samples,
    Segment,
    Usage,
    Utterance,
)
from voxcpm_openai.embedded.shape import RATE
from voxcpm_openai.embedded.synthesizer import Speaker, Synthesizer
from voxcpm_openai.errors import InvalidRequest, Unavailable
from voxcpm_openai.gate import DeadlineGate, Ticket
from voxcpm_openai.playout import PlayoutClock

Makers = Mapping[str, Sequence[Synthesizer]]
"""Synthesizers by language, the default language and the preferred synthesizers first."""

CHUNK = 3_840
"""Samples of a chunk: 0.16 s."""
PATCH = 1_920
"""Samples of an output token: 80 ms."""


def capabilities(languages: tuple[str, ...]) -> Capabilities:
    """Return what the engine can do in some languages."""
    return Capabilities(
        sample_rate=RATE,
        languages=languages,
        params=frozenset({"seed"}),
        # The networks change their speed in steps, or not well.
        native_speed=(1.0, 1.0),
        # Nobody expects a cloned voice to be spoken by this engine's own speakers.
        default_speaker=False,
        spoken_text=True,
        phonemes=True,
    )


class EmbeddedStream:
    """The audio of one utterance, made piece by piece in the thread that calls ``next()``."""

    def __init__(self, name: str, makers: Makers, utterance: Utterance) -> None:
        """``name``: of the engine."""
        self._name = name
        self._makers = makers
        self._default = next(iter(makers))
        self._utterance = utterance
        self._phonemes = 0
        self._made = 0  # samples
        self._closed = False
        self._clock = PlayoutClock(time.monotonic(), utterance.tempo)
        self._speakers: dict[Synthesizer, Speaker] = {}
        self._tickets: dict[DeadlineGate, Ticket] = {}
        self._open_speakers()
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
            # Not in the generator: the garbage collector might close it while a gate is locked.
            self._free()
            raise

    def close(self) -> None:
        """Cancel; a piece that is being synthesized is dropped."""
        self._closed = True
        self._free()

    def _free(self) -> None:
        for gate, ticket in list(self._tickets.items()):
            gate.unregister(ticket)
        for speaker in list(self._speakers.values()):
            speaker.close()

    def _open_speakers(self) -> None:
        """Open the speakers of all segments: a stream is refused before its first sound or never.

        Raises InvalidRequest for a wrong voice, and Overloaded.
        """
        try:
            for language in self._utterance.languages or (self._utterance.segments[0].language,):
                self._speaker(language)
        except BaseException:
            self._free()
            raise

    def _speaker(self, language: str) -> Speaker:
        """Return what speaks a language; one speaker may speak several."""
        makers = self._makers.get(language, self._makers[self._default])
        voice = self._utterance.voice
        # A voice that only one of them has settings for is spoken by that one.
        maker = next((maker for maker in makers if maker.options in voice.options), makers[0])
        if maker not in self._speakers:
            self._speakers[maker] = speaker = maker.speaker(voice)
            if speaker.gate not in self._tickets:
                self._tickets[speaker.gate] = speaker.gate.register()
        return self._speakers[maker]

    def _synthesize(self) -> Iterator[Chunk]:
        lead = np.zeros(0, np.float32)  # pauses before the first word
        for index, segment in enumerate(self._utterance.segments):
            for samples in self._pieces(index, segment):
                if not self._phonemes:
                    lead = np.concatenate([lead, samples])
                    continue
                whole, lead = np.concatenate([lead, samples]), lead[:0]
                self._made += len(whole)
                self._clock.deliver(len(whole) / RATE, time.monotonic())
                for start in range(0, len(whole), CHUNK):
                    if not self._live():
                        return
                    yield Chunk(whole[start : start + CHUNK], index)
            if not self._live():
                return
        if not self._phonemes:
            raise InvalidRequest(
                f"There is nothing in this text that the {self._name} engine can speak: it knows "
                f"words, numbers and punctuation in {', '.join(self._makers)}.",
                param="input",
            )

    def _live(self) -> bool:
        """Return whether to go on.  Raises Unavailable if the engine was stopped."""
        if not self._closed and any(gate.closed for gate in self._tickets):
            raise Unavailable(f"The {self._name} engine has stopped.")
        return not self._closed

    def _pieces(self, index: int, segment: Segment) -> Iterator[Samples]:
        """Yield the audio of a segment piece by piece; the last one ends with its pause."""
        if segment.language not in self._makers:
            segment = replace(segment, language=self._default)
        seed = self._utterance.seed
        rng = np.random.default_rng(None if seed is None else (seed, index))
        speaker = self._speaker(segment.language)
        pause = np.zeros(round(segment.pause * RATE), np.float32)
        pieces: list[str] | None = None
        done = 0
        while pieces is None or done < len(pieces):
            ticket = self._tickets[speaker.gate]
            if not speaker.gate.acquire(ticket, self._clock.deadline):
                return
            try:
                pieces = speaker.pieces(segment) if pieces is None else pieces
                if not pieces:
                    break
                samples, phonemes = speaker.render(pieces[done], rng)
            finally:
                speaker.gate.release(ticket)
            self._phonemes += phonemes
            done += 1
            yield np.concatenate([samples, pause]) if done == len(pieces) else samples
        if not pieces:
            yield pause


class EmbeddedEngine(Engine):
    """Synthesizes on the CPU, each segment with the synthesizer of its language."""

    def __init__(self, makers: Makers, name: str) -> None:
        """``name``: for error messages."""
        self.capabilities = capabilities(tuple(makers))
        self._makers = makers
        self._name = name
        self._every = list(dict.fromkeys(maker for some in makers.values() for maker in some))
        self._gates = list(dict.fromkeys(maker.gate for maker in self._every))

    def synthesize(self, utterance: Utterance) -> AudioStream:
        """Start a stream.  Raises InvalidRequest for a voice with options that are not valid."""
        return EmbeddedStream(self._name, self._makers, utterance)

    def status(self) -> EngineStatus:
        """Return the streams that are open, that synthesize, and that wait."""
        counts = [gate.counts() for gate in self._gates]
        return EngineStatus(
            state="stopped" if any(gate.closed for gate in self._gates) else "ready",
            streams=sum(count.streams for count in counts),
            running=sum(count.running for count in counts),
            waiting=sum(count.waiting for count in counts),
            details={"languages": list(self._makers), "threads": self._gates[0].places},
        )

    def stop(self) -> None:
        """End all streams with Unavailable."""
        for gate in self._gates:
            gate.close()
        for maker in self._every:
            maker.close()
