"""hibari: English, many times faster than real time on one core."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxcpm_openai.contracts import Samples, Segment, Voice
from voxcpm_openai.embedded.bases import Bases
from voxcpm_openai.embedded.phonemes import Phonemizer
from voxcpm_openai.embedded.shape import NAME, render, shape_of, trim
from voxcpm_openai.gate import DeadlineGate


class HibariSynthesizer:
    """Makes speakers of English.  A segment is made at once."""

    options = NAME

    def __init__(self, hibari: Any, threads: int) -> None:
        """``hibari``: a loaded ``hibari.Hibari``; ``threads``: segments synthesized at once."""
        self.gate = DeadlineGate(threads)
        self._bases = Bases(hibari)
        self._phonemizers = {id(one): Phonemizer(one) for one in self._bases.networks}

    @property
    def phonemize(self) -> Phonemizer:
        """The phonemizer of the network in the package."""
        return self._phonemizers[id(self._bases.networks[0])]

    def speaker(self, voice: Voice) -> HibariSpeaker:
        """Return what speaks with a voice.  Raises InvalidRequest for options that are wrong."""
        hibari, voice = self._bases.speaker(voice)
        return HibariSpeaker(hibari, self._phonemizers[id(hibari)], voice, self.gate)

    def close(self) -> None:
        """Do nothing: the networks are freed with it."""


class HibariSpeaker:
    """A voice on a network of hibari."""

    def __init__(
        self, hibari: Any, phonemize: Phonemizer, voice: Voice, gate: DeadlineGate
    ) -> None:
        self.gate = gate
        self._hibari = hibari
        self._phonemize = phonemize
        self._shape = shape_of(voice)

    def pieces(self, segment: Segment) -> list[str]:
        """Return the phonemes of a segment: one piece, unless it is very long."""
        return self._phonemize(segment)

    def render(self, phonemes: str, rng: np.random.Generator) -> tuple[Samples, int]:
        """Return the samples of a piece at 24 kHz, and the number of its phonemes."""
        ids = self._hibari.ids(phonemes)  # with a pad at either end
        if len(ids) <= 2:
            return np.zeros(0, np.float32), 0
        return trim(render(self._hibari, ids, self._shape, rng)), len(ids) - 2

    def close(self) -> None:
        """Do nothing: a speaker holds nothing of its own."""


def load() -> Any:
    """Load hibari, and synthesize once: the first time is slow."""
    from hibari import Hibari

    hibari = Hibari(threads=1)
    hibari("Good morning.", seed=0)
    return hibari
