"""The nouns of the server, and the base classes and protocols that plugins implement.

Those of output formats are in ``formats``.

Samples are mono float32 arrays of shape ``(n,)``, nominally within [-1, 1]; rates are in Hz,
durations in seconds.  All values are frozen; only engines and streams hold state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

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
    """A voice: settings for engines, a reference clip, or both.

    ``options`` maps an engine's name to that engine's own settings of this voice.  ``audio`` is a
    reference clip for engines that clone, ``transcript`` its exact words.  ``owner`` is the id of
    the API key that added the voice, or None if everybody may use it.  ``created_at`` is the Unix
    time at which it was added, or None for a voice of a plugin.  ``lexicon`` says how this voice
    reads some texts: it maps each to other words, or to a table such as ``{"ipa": "wɪn"}`` with
    ``alias``, ``ipa``, ``case_sensitive`` and ``word_boundaries``.  ``public``: its sample may be
    heard without an API key.
    """

    id: str
    name: str
    audio: Path | None = None
    transcript: str | None = None
    description: str = ""
    language: str = ""
    license: str = ""
    provenance: str = ""
    owner: str | None = None
    created_at: int | None = None
    options: Mapping[str, Options] = field(default_factory=dict)
    lexicon: Mapping[str, str | Mapping[str, object]] = field(default_factory=dict)
    public: bool = False


@dataclass(frozen=True, slots=True)
class Preset:
    """A model id that clients may name.

    ``engine`` None means that any engine serves it; ``options`` are the engine options that it
    stands for.  ``sse`` False means that ``stream_format: "sse"`` is ignored, as OpenAI does for
    ``tts-1`` and ``tts-1-hd``.
    """

    id: str
    engine: str | None = None
    options: Options = field(default_factory=dict)
    sse: bool = True


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """The pronunciation of ``Segment.text[start:end]``, in IPA."""

    start: int
    end: int
    ipa: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the text that is synthesized at once, and the pause after it in seconds.

    ``text`` is what the engine speaks: words if ``Capabilities.spoken_text``, else the text as a
    person would write it.  ``pronunciations`` of parts of it are given only to engines with
    ``Capabilities.phonemes``.  The server speeds up the audio of a segment by the factor ``rate``
    (``<prosody rate>``).  ``language``: the ISO 639-1 code of its words, else empty.
    """

    text: str
    pause: float = 0.0
    rate: float = 1.0
    pronunciations: tuple[Pronunciation, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What an engine is asked to synthesize; every name and number is already resolved.

    ``speed`` lies within ``Capabilities.native_speed``; ``options`` holds only fields that
    ``Capabilities.params`` names; ``seed`` and ``instructions`` are None unless it names them.
    ``tempo`` is the factor by which the server speeds up the engine's audio (see ``PlayoutClock``).
    Read each segment when it is its turn: a later one may be turned into words when it is first
    read.  ``languages`` are those of all segments, known beforehand.  ``continuation``: that of the
    stream whose text goes on here, of the same engine and with the same voice, seed and options;
    None at the start of a text, and always for an engine without ``Capabilities.continues``.
    """

    segments: Sequence[Segment]
    voice: Voice
    options: Options = field(default_factory=dict)
    speed: float = 1.0
    seed: int | None = None
    instructions: str | None = None
    tempo: float = 1.0
    languages: tuple[str, ...] = ()
    continuation: object = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some samples, and the index of the segment that they belong to."""

    samples: Samples
    segment: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost, in the engine's own tokens; both counts are above zero."""

    input_tokens: int
    output_tokens: int


class AudioStream(Protocol):
    """The audio of one utterance, an iterator of chunks.  ``GeneratorStream`` implements it."""

    @property
    def usage(self) -> Usage:
        """The tokens used so far; final after the last chunk."""

    def __iter__(self) -> Self:
        """Return itself."""

    def __next__(self) -> Chunk:
        """Wait for the next chunk.  Raise StopIteration at the end, and after ``close``."""

    def close(self) -> None:
        """Cancel the work and wake a waiting ``next()``.  Any thread may call it, also twice."""


class ContinuingStream(AudioStream, Protocol):
    """A stream of an engine with ``Capabilities.continues``."""

    @property
    def continuation(self) -> object:
        """What ``Utterance.continuation`` is to be where the text goes on; None: nothing.

        Valid once the stream has ended without an error.  Only the engine knows what it is; it is
        given to any number of later streams, also of an engine that was loaded anew, and must not
        keep what a closed stream frees.
        """


PARAMS = frozenset({"seed", "instructions", "language", "cfg_value", "inference_steps"})
"""The request fields of the server's wire that an engine may act on."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do.  Only ``sample_rate`` has no default; checked when the engine starts.

    - ``sample_rate``: of the chunks, in Hz, 8000 to 192000.
    - ``languages``: ISO 639-1 codes; a text mostly in the script of another language is refused.
      Empty: all.
    - ``params``: the request fields that change the sound.  A name that is not in ``PARAMS`` is a
      request field of the engine's own, which is passed unchecked in ``Utterance.options`` (raise
      InvalidRequest for a wrong value).  Other fields are reported to the client as ignored.
    - ``cloning``: it can speak with a voice known by a clip alone; ``needs_transcript``: only if
      the clip's transcript is known, too.
    - ``voice_design``: it can make a voice from a description.
    - ``native_speed``: the slowest and the fastest speed that it makes itself; other speeds are
      made from its output by time stretching.
    - ``spoken_text``: it wants the text as words: numbers, signs and abbreviations are spelled out
      in the language of the text (see ``Normalizer``); without it, it reads written forms itself.
    - ``phonemes``: it follows ``Segment.pronunciations``.
    - ``default_speaker``: it speaks voices that have no options for it with a voice of its own;
      if not, such a voice is a 400 ``cannot_clone`` (unless the engine clones).
    - ``continues``: a stream can go on where an earlier one has ended, with the same speaker, see
      ``Utterance.continuation``; its streams are ``ContinuingStream``.
    """

    sample_rate: int
    languages: tuple[str, ...] = ()
    params: Collection[str] = ()
    cloning: bool = False
    needs_transcript: bool = False
    voice_design: bool = False
    native_speed: tuple[float, float] = (1.0, 1.0)
    spoken_text: bool = False
    phonemes: bool = False
    default_speaker: bool = True
    continues: bool = False


EngineState = Literal["ready", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The state of an engine, with the same keys for all engines.

    ``streams`` are open; ``running`` and ``waiting`` count what is worked on now and what waits
    for its turn (streams, or segments for engines that schedule these); ``completed``, ``failed``
    and ``cancelled`` count what has ended since the start (0 if the engine does not count).
    ``summary``: what runs and how, in a few words, for the log line of a ready server.  ``details``
    are the engine's own, as JSON values.
    """

    state: EngineState = "ready"
    streams: int = 0
    running: int = 0
    waiting: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    summary: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


class Engine(ABC):
    """A speech synthesizer.  Subclasses set ``capabilities`` and implement ``synthesize``.

    ``name``: the ``EngineSpec``'s, set by the server after the start.  ``version``: what else its
    sound depends on, such as its weights; speech is cached by it.
    """

    capabilities: Capabilities
    name: str = ""
    version: str = ""

    @abstractmethod
    def synthesize(self, utterance: Utterance) -> AudioStream:
        """Start to synthesize and return the stream.  Called from many threads at once.

        Raise InvalidRequest for what the engine cannot say and Overloaded when it is busy.
        """

    def prepare_voice(self, voice: Voice) -> None:  # noqa: B027
        """Do what the first request with a voice would wait for, while others go first."""

    def status(self) -> EngineStatus:
        """Return the state of the engine."""
        return EngineStatus()

    def stop(self) -> None:  # noqa: B027  (an engine may have nothing to free)
        """Free all resources.  Called once; streams that are still open must end."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine that a plugin offers.

    - ``start(settings)`` loads and warms up the engine; it may take minutes.
    - ``unavailable_reason(settings)``: None, or a sentence that says why the engine cannot run here
      and how to change that.  It must be quick and import nothing heavy.
    - ``priority``: ``VOXCPM_ENGINE=auto`` runs the available engine of the highest priority.
    - ``settings``: the plugin's own settings, a class made by ``plugin_settings``.
    - ``install_hint``: how to get this engine and what it is good for, where a request needs it.
    - ``aliases``: other names that ``VOXCPM_ENGINE`` may select it by.
    - ``voice_options``: tables of ``Voice.options`` that it reads, besides that of its own name.
    - ``more_languages``: ISO 639-1 codes, each with a sentence: what to install to speak it.
    - ``capabilities``: those before the start, for ``voxcpm-openai text``; else the defaults.
    - ``notes(settings)``: quickly, lines that ``check`` prints of how it runs here.
    - ``free()`` gives back memory that the process keeps, when an idle engine has been stopped.
    - ``device(settings)`` names, as torch does, where it runs.  ``cuda``, or ``auto`` for a GPU if
      there is one: the server has one worker for each GPU, which sees no other.  ``cuda:1``: one
      worker, which sees that GPU only.  ``start`` always finds its GPU as ``cuda:0``.
    """

    name: str
    start: Callable[[Settings], Engine]
    unavailable_reason: Callable[[Settings], str | None] = lambda _settings: None
    priority: int = 0
    settings: type | None = None
    install_hint: str = ""
    aliases: tuple[str, ...] = ()
    voice_options: tuple[str, ...] = ()
    more_languages: Mapping[str, str] = field(default_factory=dict, hash=False)
    capabilities: Capabilities | None = None
    notes: Callable[[Settings], Iterable[str]] = lambda _settings: ()
    device: Callable[[Settings], str] = lambda _settings: "cpu"
    free: Callable[[], None] = lambda: None


class Transcriber(Protocol):
    """Speech recognition.  ``transcribe`` is called from many threads."""

    def transcribe(self, samples: Samples, rate: int, language: str) -> str:
        """Return the words of a clip at ``rate`` Hz, with punctuation; empty if there are none.

        ``language`` is an ISO 639-1 code, or empty if it is unknown.
        """


@dataclass(frozen=True, slots=True)
class TranscriberSpec:
    """Offers a transcriber for clips that are added without a transcript; see ``EngineSpec``."""

    name: str
    start: Callable[[Settings], Transcriber]
    unavailable_reason: Callable[[Settings], str | None] = lambda _settings: None
    settings: type | None = None


@dataclass(frozen=True, slots=True)
class Normalizer:
    """Turns written forms of a language into words, for engines that want them.

    ``start(settings)`` loads that of a ``language`` (ISO 639-1) and returns a function of one
    segment's text, called from many threads, which must return words and the marks of pauses only:
    ``"$5, please."`` becomes ``"five dollars, please."``.
    """

    language: str
    start: Callable[[Settings], Callable[[str], str]]
