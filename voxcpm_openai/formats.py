"""Output formats: what a plugin offers as ``response_format``, and the encoder behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from voxcpm_openai.contracts import Samples


class AudioEncoder(Protocol):
    """Encodes the samples of one stream, chunk by chunk.

    Made by ``AudioFormat.open``.  The output must not depend on how the samples are cut.
    """

    def feed(self, samples: Samples) -> bytes:
        """Take samples; return the bytes that are ready, possibly none."""

    def finish(self) -> bytes:
        """Return the remaining bytes.  Called once, after the last ``feed``."""

    def close(self) -> None:
        """Free all resources, whether finished or not.  May be called twice."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """An output format: its name on the wire, its media type and how to make an encoder.

    ``open(rate)`` returns an encoder for samples at ``rate`` Hz.  ``rate(engine_rate, requested)``
    returns the output rate; ``requested`` is the request's ``sample_rate`` or None.  A result
    other than ``requested`` means that the request's wish is ignored.  ``open_at(rate, bit_rate)``
    makes an encoder with a bit rate in bits per second, for formats that have a choice.
    """

    name: str
    content_type: str
    open: Callable[[int], AudioEncoder]
    rate: Callable[[int, int | None], int]
    open_at: Callable[[int, int], AudioEncoder] | None = None
