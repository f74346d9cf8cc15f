"""What the embedded engine needs of the synthesizer of a language."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from voxcpm_openai.contracts import Samples, Segment, Voice
from voxcpm_openai.gate import DeadlineGate


class Speaker(Protocol):
    """Speaks with one voice, for one stream.  ``gate`` bounds how many pieces are made at once."""

    gate: DeadlineGate

    def pieces(self, segment: Segment) -> list[str]:
        """Return a segment as pieces that are made one by one, the first one short."""

    def render(self, piece: str, rng: np.random.Generator) -> tuple[Samples, int]:
        """Return the samples of a piece at 24 kHz, trimmed, and the number of its phonemes."""

    def close(self) -> None:
        """Free what the stream held.  May be called twice."""


class Synthesizer(Protocol):
    """Makes speakers.  Any thread may call it.

    ``options`` is the table of a voice's options that it reads.
    """

    gate: DeadlineGate
    options: str

    def speaker(self, voice: Voice) -> Speaker:
        """Return what speaks with a voice.

        Raises InvalidRequest for options that are wrong, Overloaded when too many speak.
        """

    def close(self) -> None:
        """Free everything; the gate is closed."""
