"""The nouns of the server and the protocols that plugins fulfil.

Samples are mono float32 arrays of shape ``(n,)``, nominally within [-1, 1]; rates are in Hz,
durations in seconds.  All values are frozen; only encoders, engines and streams hold state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from voxcpm_openai.settings import Settings

Samples = npt.NDArray[np.float32]
"""Mono float32 samples, shape ``(n,)``."""

Options = Mapping[str, object]
"""Named values that an engine understands, such as ``inference_steps``."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Someone who can speak: settings for engines, a reference clip, or both.

    ``options`` maps an engine's name to that engine's own settings of this voice;
    ``audio`` is a reference clip for engines that clone, ``transcript`` its exact words.
    ``owner`` is None for voices that everybody may use.  ``created_at`` is the Unix time at which
    somebody added it, None for what a plugin gives.
    """

    id: str
    name: str
    audio: Path | None = None
    transcript: str | None = None
    description: str = ""
    language: str = ""
    licence: str = ""
    provenance: str = ""
    owner: str | None = None
    created_at: int | None = None
    options: Mapping[str, Options] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preset:
    """A model id that clients may ask for.

    ``engine`` None means that any engine serves it; ``options`` are the engine options that it
    stands for; ``sse`` False means that ``stream_format: "sse"`` is ignored, as OpenAI does for
    ``tts-1`` and ``tts-1-hd``.
    """

    id: str
    engine: str | None = None
    options: Options = field(default_factory=dict)
    sse: bool = True


class Encoder(Protocol):
    """Turns the samples of one stream into bytes, chunk by chunk.

    Made by ``AudioFormat.open``.  Whole and chunked input must decode to the same samples.
    """

    def feed(self, samples: Samples) -> bytes:
        """Take samples; return the bytes that are ready, possibly none."""

    def finish(self) -> bytes:
        """Return what is left.  Called once, after the last ``feed``."""

    def close(self) -> None:
        """Free everything, finished or not.  May be called twice."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """An output format: its name on the wire, its media type and how to make an encoder.

    ``rate(engine_rate, asked)`` decides the sample rate that goes out; ``asked`` is None or the
    request's ``sample_rate``.  An answer other than ``asked`` means that the wish is ignored.
    """

    name: str
    content_type: str
    open: Callable[[int], Encoder]
    rate: Callable[[int, int | None], int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text spoken in one breath, and the pause after it, in seconds."""

    text: str
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """All that an engine needs to speak: every name and number already decided.

    ``speed`` lies within the engine's ``native_speed``; ``options`` holds only what the engine
    honours; ``instructions`` is None where the engine would ignore it.
    """

    segments: tuple[Segment, ...]
    voice: Voice
    options: Options = field(default_factory=dict)
    speed: float = 1.0
    seed: int | None = None
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of sound and the index of the segment that it belongs to."""

    samples: Samples
    segment: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost, in the engine's own tokens; both counts are above zero."""

    input_tokens: int
    output_tokens: int


class AudioStream(Protocol):
    """The sound of one utterance, as it is made."""

    @property
    def usage(self) -> Usage:
        """What was spent so far; final after the last chunk."""

    def __iter__(self) -> Self:
        """Return itself."""

    def __next__(self) -> Chunk:
        """Wait for the next chunk.  Raises StopIteration at the end, or after ``close``."""

    def close(self) -> None:
        """Cancel the work.  Any thread may call it, twice too; it wakes a waiting ``next()``."""


class Engine(Protocol):
    """Something that speaks.  ``speak`` is called from many threads at once.

    ``honours`` names the request fields that change the sound (of ``seed``, ``instructions``,
    ``language``, ``cfg_value``, ``inference_steps``); others are reported as ignored.
    ``clones``: whether a voice may be a clip alone; ``needs_transcript``: whether it then needs the
    clip's words, too; ``designs``: whether a description alone makes a voice.  ``native_speed``:
    the range of speeds that it makes by itself; the rest is done by time stretching.
    ``languages``: the ISO 639-1 codes that it speaks; letters of other scripts are refused; empty
    means all.
    """

    @property
    def sample_rate(self) -> int:
        """The rate of the chunks, in Hz."""

    @property
    def honours(self) -> frozenset[str]:
        """The names of the request fields that the engine acts on."""

    @property
    def clones(self) -> bool:
        """Whether it can speak with a voice known only by a clip."""

    @property
    def needs_transcript(self) -> bool:
        """Whether a clip is of use only with its words."""

    @property
    def designs(self) -> bool:
        """Whether it draws a voice after a description."""

    @property
    def native_speed(self) -> tuple[float, float]:
        """The slowest and the fastest speed that it makes by itself."""

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes; empty for all."""

    def speak(self, utterance: Utterance) -> AudioStream:
        """Begin to speak.  Raises RequestError for what it cannot say."""

    def status(self) -> Mapping[str, object]:
        """Return a look inside, as JSON values: at least what runs and what waits."""

    def stop(self) -> None:
        """Free everything; streams still open end with an error."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine that could be started.

    ``start(settings)`` loads and warms it and may take minutes.  ``available(settings)`` says None,
    or in one sentence why it cannot run here and how to change that; it must be quick and import
    nothing heavy.
    """

    name: str
    start: Callable[[Settings], Engine]
    available: Callable[[Settings], str | None]


class Transcriber(Protocol):
    """Something that writes down what it hears.  ``transcribe`` is called from many threads."""

    def transcribe(self, samples: Samples, rate: int, language: str) -> str:
        """Return the words of a clip at ``rate`` Hz, with their punctuation; empty for none.

        ``language`` is an ISO 639-1 code, or empty where nobody knows it.
        """


@dataclass(frozen=True, slots=True)
class TranscriberSpec:
    """A transcriber that could be started, for clips that come without their words.

    ``start(settings)`` loads it and may take a while; ``available(settings)`` says None, or in one
    sentence why it cannot run here and how to change that; it must be quick.
    """

    name: str
    start: Callable[[Settings], Transcriber]
    available: Callable[[Settings], str | None]
