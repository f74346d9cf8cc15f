"""Spoken samples: what voices without a clip sound like, made once and kept."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

from voxcpm_openai.contracts import Utterance, Voice
from voxcpm_openai.voices.sentences import sentence

logger = logging.getLogger(__name__)

SEED = 1
"""The same at each making."""


class SpokenSamples:
    """One FLAC file a voice and engine, under the data folder."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "samples"

    def get(self, voice: Voice, engine: str, make: Callable[[Utterance], bytes]) -> bytes:
        """Return a voice's sample as FLAC; ``make`` speaks it where there is none yet."""
        utterance = Utterance(sentence(voice.language), voice, seed=SEED)
        path = self._folder / f"{_key(utterance, engine)}.flac"
        try:
            return path.read_bytes()
        except OSError:  # not made yet
            content = make(utterance)
        try:
            self._keep(path, content)
        except OSError as error:  # it can be heard all the same
            logger.warning("a spoken sample is not kept: %s: %s", path, error.strerror)
        return content

    def _keep(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _key(utterance: Utterance, engine: str) -> str:
    """Tell apart whatever sounds different: the engine, the voice's settings, the words."""
    voice = utterance.voice
    facts = [
        engine,
        voice.id,
        dict(voice.options.get(engine, {})),
        voice.description,
        [segment.text for segment in utterance.segments],
    ]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()
