"""Kokoro as a synthesizer of the embedded engine: all its languages but, mostly, English."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxcpm_openai.contracts import Samples, Segment, Voice
from voxcpm_openai.embedded.kokoro import clauses, voices
from voxcpm_openai.embedded.kokoro.synthesizer import Kokoro
from voxcpm_openai.embedded.mandarin import MandarinPhonemizer
from voxcpm_openai.embedded.spanish import SpanishPhonemizer
from voxcpm_openai.errors import InvalidRequest, Overloaded, VoxcpmError
from voxcpm_openai.gate import DeadlineGate

NAME = "kokoro"
"""The key of a voice's options."""
DEFAULTS = {"en": "af_heart", "zh": "zf_xiaoxiao", "es": "ef_dora"}
"""The speakers of voices that name none, by language."""
DEFAULT_LANGUAGE = "en"
SPEEDS = {f"{language}_speed": language for language in DEFAULTS}
"""The options that are factors of speed."""
SLOWEST, FASTEST = 0.5, 2.0
MEASURED = "wi wɜɹ əwˈA ˈɔl jˈɪɹ lˈɔŋ."
"""Phonemes for a first estimate of the speed."""
RETRY = 5
"""Seconds after which a client may try again when too many speak."""

Phonemize = Callable[[Segment], list[str]]


@dataclass(frozen=True, slots=True)
class Style:
    """How a voice speaks: Kokoro's ids or mixes, and factors of speed, both by language."""

    names: Mapping[str, str]
    speeds: Mapping[str, float]


def language_of(segment: Segment) -> str:
    """Return the language in which Kokoro speaks a segment."""
    return segment.language if segment.language in DEFAULTS else DEFAULT_LANGUAGE


def style_of(voice: Voice) -> Style:
    """Return the style in ``voice.options["kokoro"]``.  Raises InvalidRequest."""
    options: Mapping[str, object] = voice.options.get(NAME, {})
    names, speeds = dict(DEFAULTS), dict.fromkeys(DEFAULTS, 1.0)
    for key, value in options.items():
        where = f"Voice {voice.id!r}: options.{NAME}.{key} = {value!r}"
        if key in DEFAULTS and isinstance(value, str):
            voices.parse(value)
            names[key] = value
        elif key in SPEEDS:
            number = value if isinstance(value, int | float) else math.nan
            if isinstance(value, bool) or not SLOWEST <= number <= FASTEST:
                raise InvalidRequest(
                    f"{where}: not a number from {SLOWEST:g} to {FASTEST:g}.", param="voice"
                )
            speeds[SPEEDS[key]] = number
        else:
            raise InvalidRequest(
                f"{where}: there are {', '.join([*DEFAULTS, *SPEEDS])}.", param="voice"
            )
    return Style(names, speeds)


class KokoroSynthesizer:
    """Makes speakers; one piece is made at a time, by all threads of the network."""

    options = NAME

    def __init__(self, folder: Path | None, threads: int, idle: float, english: Phonemize) -> None:
        """``folder``: of the network, or None for the packages; ``idle``: seconds; 0 is for ever.

        ``english``: returns the phonemes of English words.
        """
        self.gate = DeadlineGate(1)
        self._kokoro = Kokoro(folder, threads=threads, idle=idle or None)
        self._english = english
        self._phonemizers: dict[str, Callable[[str], str]] = {
            "en": self._words_in_english,
            "zh": MandarinPhonemizer(self._words_in_english),
            "es": SpanishPhonemizer(),
        }
        self._streams = 0
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Load the network, and measure its speed."""
        self._kokoro.render(MEASURED, DEFAULTS["en"])

    def _load(self) -> None:
        try:
            self._kokoro.load()
        except VoxcpmError:
            pass  # the render that waits for it tries again, and raises it

    def speaker(self, voice: Voice) -> KokoroSpeaker:
        """Return what speaks with a voice.

        Raises InvalidRequest for options that are wrong, and Overloaded if the network makes
        speech for as many streams as it can faster than it is heard.
        """
        style = style_of(voice)
        with self._lock:
            if self._streams >= self._kokoro.capacity:
                raise Overloaded(
                    f"{self._streams} streams are spoken by Kokoro, as many as this machine can "
                    "synthesize in real time.",
                    retry_after=RETRY,
                )
            self._streams += 1
        if not self._kokoro.loaded:
            # While the dictionaries are loaded: the first request waits for the longer of the two.
            threading.Thread(target=self._load, name="load-kokoro", daemon=True).start()
        return KokoroSpeaker(self, style)

    def pieces(self, segment: Segment) -> list[str]:
        """Return the phonemes of a segment, the first piece short."""
        language = language_of(segment)
        if language == "en" and segment.pronunciations:
            found: Iterator[str] = iter(self._english(segment))
        else:
            found = map(self._phonemizers[language], clauses.cut(segment.text, language))
        return [phonemes for phonemes in found if phonemes]

    def render(self, phonemes: str, language: str, style: Style) -> Samples:
        """Return the samples of a piece at 24 kHz."""
        return self._kokoro.render(phonemes, style.names[language], style.speeds[language])

    def _words_in_english(self, text: str) -> str:
        return "".join(self._english(Segment(text)))

    def close(self) -> None:
        """Free the network."""
        self._kokoro.close()

    def leave(self) -> None:
        """Count a stream less."""
        with self._lock:
            self._streams -= 1


class KokoroSpeaker:
    """A voice of Kokoro, for one stream."""

    def __init__(self, synthesizer: KokoroSynthesizer, style: Style) -> None:
        self.gate = synthesizer.gate
        self._synthesizer = synthesizer
        self._style = style
        self._language = DEFAULT_LANGUAGE
        self._open = True
        self._lock = threading.Lock()

    def pieces(self, segment: Segment) -> list[str]:
        """Return a segment as phonemes, in pieces."""
        self._language = language_of(segment)
        return self._synthesizer.pieces(segment)

    def render(self, piece: str, rng: np.random.Generator) -> tuple[Samples, int]:  # noqa: ARG002
        """Return the samples of a piece, and the number of its phonemes."""
        return self._synthesizer.render(piece, self._language, self._style), len(piece)

    def close(self) -> None:
        """Give the place back."""
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            self._synthesizer.leave()
