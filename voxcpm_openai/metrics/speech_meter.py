"""Measurements of one speech, for the metrics and for the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from voxcpm_openai.errors import ClientLeft, RequestError, Unavailable
from voxcpm_openai.playout import PlayoutClock

if TYPE_CHECKING:
    from voxcpm_openai.metrics.families import Metrics

DONE, CANCELLED, REFUSED, FAILED = "done", "cancelled", "refused", "failed"
"""Outcomes: complete; client disconnected; invalid request or no capacity; server error."""


def outcome_of(error: BaseException) -> tuple[str, str]:
    """Return the outcome of a request that ends with an error, and the error's code."""
    if isinstance(error, ClientLeft):
        return CANCELLED, code_of(error)
    if isinstance(error, RequestError):
        refused = error.status < 500 or isinstance(error, Unavailable)
        return REFUSED if refused else FAILED, code_of(error)
    return FAILED, type(error).__name__


def code_of(error: RequestError) -> str:
    """Return the code of an error, by default ``http_`` and its status."""
    return error.code or f"http_{error.status}"


class SpeechMeter(AbstractContextManager["SpeechMeter"]):
    """Measures a speech in a ``with`` block and records it once, at the end.

    The outcome is ``CANCELLED`` unless ``done`` or ``fail`` is called or the block raises.
    """

    def __init__(
        self,
        metrics: Metrics,
        model: str,
        format_: str,
        *,
        characters: int = 0,
        begun: float | None = None,
        on_end: Callable[[dict[str, object]], None] = lambda _facts: None,
    ) -> None:
        """``begun``: the time of the request (``time.monotonic``), by default now.

        ``on_end``: called with the fields for the log.
        """
        self.outcome = CANCELLED
        self.code = ""
        """The code of the error, if there was one."""
        self._metrics = metrics
        self._model = model
        self._voice_kind = "unknown"
        self._format = format_
        self._characters = characters
        self._seconds = 0.0  # of audio, in total
        self._first_audio: float | None = None  # seconds from the request
        self._begun = time.monotonic() if begun is None else begun
        self._part_begun: float | None = None  # of streamed input text
        self._working = 0.0  # seconds of processing
        self._underrun = 0.0
        self._clock = PlayoutClock(self._begun)
        self._on_end = on_end
        self._recorded = False

    def resolved(self, model: str, voice_kind: str) -> None:
        """Record the id of the model, and the kind of the voice (``voices.library.kind``)."""
        self._model, self._voice_kind = model, voice_kind

    def part(self, characters: int) -> None:
        """Record that the synthesis of a part of streamed input text begins."""
        self._characters += characters
        self._part_begun = time.monotonic()
        if self._first_audio is None:
            self._begun = self._part_begun

    def part_ended(self) -> None:
        """Record that the synthesis of a part has ended."""
        if self._part_begun is not None:
            self._working += time.monotonic() - self._part_begun

    def audio(self, seconds: float, *, live: bool = True) -> None:
        """Record the total duration of the audio synthesized so far.

        ``live``: the client plays it meanwhile; a delay beyond the playout deadline is an underrun.
        """
        now = time.monotonic()
        if self._first_audio is None:
            self._first_audio = now - self._begun
        elif live:
            self._underrun += max(0.0, now - self._clock.deadline)
        self._clock.deliver(seconds - self._seconds, now)
        self._seconds = seconds
        if self._part_begun is None:
            self._working = now - self._begun

    def done(self) -> None:
        """Record that the speech is complete."""
        self.outcome = DONE

    def fail(self, error: BaseException) -> None:
        """Record the error that ends it."""
        self.outcome, self.code = outcome_of(error)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self.fail(error)
        self.close()

    def close(self) -> None:
        """Record it; further calls have no effect."""
        if not self._recorded:
            self._recorded = True
            self._record()
            self._on_end(self._facts())

    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {
            "voice_kind": self._voice_kind,
            "characters": self._characters,
            "outcome": self.outcome,
        }
        if self.code:
            facts["code"] = self.code
        if self._first_audio is not None:
            facts["first_byte_ms"] = round(self._first_audio * 1000)
            facts["audio_s"] = round(self._seconds, 2)
        return facts

    def _record(self) -> None:
        metrics = self._metrics
        labels = metrics.speech_labels(self._model, self._voice_kind, self._format)
        metrics.speeches.labels(*labels, self.outcome).inc()
        if self.outcome != REFUSED:
            metrics.characters.labels(*labels).inc(self._characters)
        if self._first_audio is None:
            return
        metrics.first_audio.labels(*labels).observe(self._first_audio)
        metrics.audio_seconds.labels(*labels).inc(self._seconds)
        if self._seconds and self.outcome == DONE:
            metrics.real_time_factor.labels(*labels).observe(self._working / self._seconds)
        if self._underrun:
            metrics.underrun_seconds.labels(*labels).inc(self._underrun)
            metrics.underruns.labels(*labels).inc()
