"""The cache of speech of one worker: what others have asked for, on disk or being made."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from voxcpm_openai.cache.key import ClipHashes, speech_key
from voxcpm_openai.cache.shared import Listener, SharedSpeech
from voxcpm_openai.cache.source import Maker, Source
from voxcpm_openai.cache.store import SpeechStore
from voxcpm_openai.contracts import Engine, Utterance
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import OutputSpec

logger = logging.getLogger(__name__)

FOLDER = "speech"
"""The folder of the entries, in the folder of cached files."""
MAX_HELD = 16 * 1024 * 1024
"""The most bytes of one speech that are kept in memory while it is made; a longer one is not."""


@dataclass(slots=True)
class CacheCounts:
    """What a cache has done since the start.  A hit is a response that was not made for it."""

    hits: int = 0
    misses: int = 0
    stored_bytes: int = 0


class SpeechCache:
    """Returns the bytes of equal requests, and lets requests at the same time share them."""

    def __init__(self, settings: Settings, own: object = None, workers: int = 1) -> None:
        """``own``: the settings of the engine's plugin; ``workers``: how many share the folder."""
        self.counts = CacheCounts()
        limit = settings.cache_mb * 1_000_000
        self._store = SpeechStore(settings.cache_folder / FOLDER, limit, workers)
        self._own = own
        self._clips = ClipHashes()
        self._shared: dict[str, SharedSpeech] = {}
        self._lock = threading.RLock()

    def key(
        self, engine: Engine, utterance: Utterance, output: OutputSpec, frames: str
    ) -> str | None:
        """Return the name of a speech, or None if the voice's clip cannot be read.

        ``frames``: how the audio is packed.  Makes the words of all segments.
        """
        clip = utterance.voice.audio
        try:
            hashed = self._clips.get(clip) if clip is not None else ""
        except OSError as error:
            logger.warning("the clip of %r cannot be read: %s", utterance.voice.id, error)
            return None
        named = engine.name, engine.version
        return speech_key(named, self._own, utterance, output, frames, hashed)

    def source(self, key: str, maker: Maker) -> Source:
        """Return what a speech comes from: a file, or requests that share it.

        ``maker`` is used if nobody else makes it.
        """
        with self._lock:
            if (shared := self._shared.get(key)) is not None:
                return shared.join(maker)
        if (stored := self._store.get(key)) is not None:
            return stored
        with self._lock:
            if (shared := self._shared.get(key)) is None:
                shared = self._shared[key] = self._share(key)
            return shared.join(maker)

    def count(self, source: Source) -> bool:
        """Count a response whose first bytes are there; return whether it is a hit."""
        hit = not (isinstance(source, Listener) and source.is_made_for_it)
        with self._lock:
            if hit:
                self.counts.hits += 1
            else:
                self.counts.misses += 1
        return hit

    def _share(self, key: str) -> SharedSpeech:
        largest = min(MAX_HELD, self._store.largest)
        return SharedSpeech(
            self._lock,
            largest,
            lambda shared: self._keep(key, shared),
            lambda _: self._forget(key),
        )

    def _keep(self, key: str, shared: SharedSpeech) -> None:
        assert shared.maker is not None
        if self._store.put(key, shared.parts, shared.maker.seconds):
            with self._lock:
                self.counts.stored_bytes += sum(map(len, shared.parts))

    def _forget(self, key: str) -> None:
        del self._shared[key]
