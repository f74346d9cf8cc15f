"""The words of a clip that came without them, from the first transcriber that can run here."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from voxcpm_openai.contracts import Transcriber, TranscriberSpec
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.clip import Clip

PARAM = "transcript"


class Transcripts:
    """Finds the words of clips.  Made once an app; any thread may use it."""

    def __init__(self, specs: Mapping[str, TranscriberSpec], settings: Settings) -> None:
        """``specs``: ``Registry.transcribers``; the last that can run is loaded when needed."""
        self._specs = tuple(specs.values())[::-1]
        self._settings = settings
        self._loading = threading.Lock()
        self._transcriber: Transcriber | None = None

    def words(self, clip: Clip, language: str = "") -> str:
        """Return what a clip says; ``language`` is its ISO 639-1 code, or empty where unknown.

        Raises InvalidRequest, of the field ``transcript``, where no transcriber can run here or
        no words are heard.
        """
        text = self._loaded().transcribe(clip.samples, clip.rate, language).strip()
        if not text:
            raise InvalidRequest(
                "No words were heard in the recording; send them in `transcript`.", param=PARAM
            )
        return text

    def _loaded(self) -> Transcriber:
        with self._loading:  # once, however many ask
            if self._transcriber is None:
                self._transcriber = self._choose().start(self._settings)
            return self._transcriber

    def _choose(self) -> TranscriberSpec:
        reasons: list[str] = []
        for spec in self._specs:
            reason = spec.available(self._settings)
            if reason is None:
                return spec
            reasons.append(f"{spec.name}: {reason}")
        raise InvalidRequest(
            "Send the exact words of the recording in `transcript`: no transcriber can run here "
            f"to find them. {' '.join(reasons)}".strip(),
            param=PARAM,
        )
