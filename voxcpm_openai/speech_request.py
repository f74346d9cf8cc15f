"""A speech request whose fields are valid by themselves, and how its audio is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voxcpm_openai.formats import AudioEncoder, AudioFormat


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A speech request whose fields are valid by themselves; None if the client left one out.

    ``extra`` holds the fields that are not part of the wire, in the order in which they came: an
    engine may know them (``Capabilities.params``).  ``bit_rate``, in bits per second, is for
    formats that have a choice (``AudioFormat.open_at``).
    """

    model: str
    input: str
    voice: str | None = None
    response_format: str = "mp3"
    speed: float = 1.0
    instructions: str | None = None
    stream_format: str = "audio"
    seed: int | None = None
    sample_rate: int | None = None
    cfg_value: float | None = None
    inference_steps: int | None = None
    language: str | None = None
    lexicon: Mapping[str, object] | None = None
    normalize: bool | None = None
    lead_ms: int | None = None
    tail_ms: int | None = None
    bit_rate: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """How the engine's audio is sent.

    ``tempo`` is the part of the speed that the engine does not make itself; ``rates`` are the
    factors of the segments beside it, empty if all are 1.  ``lead`` and ``tail`` are the silence
    before the first word and after the last one, in seconds; ``rate`` in Hz, ``bit_rate`` in bits
    per second or None; ``written`` holds the segments' texts as a person would write
    them; ``ignored`` names the request's fields without effect.
    """

    format: AudioFormat
    rate: int
    tempo: float = 1.0
    rates: tuple[float, ...] = ()
    lead: float = 0.0
    tail: float = 0.0
    bit_rate: int | None = None
    sse: bool = False
    written: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def open_encoder(self) -> AudioEncoder:
        """Return a new encoder."""
        if self.bit_rate is None or self.format.open_at is None:
            return self.format.open(self.rate)
        return self.format.open_at(self.rate, self.bit_rate)
