"""Transcription of clips that are added without a transcript."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from voxcpm_openai.contracts import Transcriber, TranscriberSpec
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.intake.clip import Clip

PARAM = "transcript"


class ClipTranscriber:
    """Transcribes clips with the last registered transcriber that is available.  Thread-safe."""

    def __init__(self, specs: Mapping[str, TranscriberSpec], settings: Settings) -> None:
        """``specs``: ``Registry.transcribers``.  One is loaded when it is first needed."""
        self._specs = tuple(specs.values())[::-1]
        self._settings = settings
        self._loading = threading.Lock()
        self._transcriber: Transcriber | None = None

    def transcribe(self, clip: Clip, language: str = "") -> str:
        """Return the transcript of a clip; ``language``: its ISO 639-1 code, empty if unknown.

        Raises InvalidRequest for the field ``transcript`` if no transcriber is available or the
        transcript is empty.
        """
        text = self._loaded().transcribe(clip.samples, clip.rate, language).strip()
        if not text:
            raise InvalidRequest(
                "No words were recognized in the recording. Send its transcript in 'transcript'.",
                param=PARAM,
            )
        return text

    def _loaded(self) -> Transcriber:
        with self._loading:  # other threads wait and use the same one
            if self._transcriber is None:
                self._transcriber = self._choose().start(self._settings)
            return self._transcriber

    def _choose(self) -> TranscriberSpec:
        reasons: list[str] = []
        for spec in self._specs:
            reason = spec.unavailable_reason(self._settings)
            if reason is None:
                return spec
            reasons.append(f"{spec.name}: {reason}")
        raise InvalidRequest(
            "'transcript' is required, the exact words of the recording: no transcriber is "
            f"available. {' '.join(reasons)}".strip(),
            param=PARAM,
        )
