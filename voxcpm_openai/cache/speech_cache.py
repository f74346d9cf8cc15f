"""The speech cache of one worker: entries on disk, and speech that is being synthesized."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import partial

from voxcpm_openai.cache.key import ClipHashes, speech_key
from voxcpm_openai.cache.shared import SharedSpeech
from voxcpm_openai.cache.source import Producer, Source
from voxcpm_openai.cache.store import SpeechStore
from voxcpm_openai.contracts import Engine, Utterance
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import OutputSpec

logger = logging.getLogger(__name__)

FOLDER = "speech"
"""The folder of the entries, in the folder of cached files."""
MAX_BUFFERED = 16 * 1024 * 1024
"""The most bytes of one speech in memory; a longer one is neither stored nor joined."""


@dataclass(slots=True)
class CacheCounts:
    """Events since the start of the worker."""

    hits: int = 0
    misses: int = 0
    stored_bytes: int = 0


class SpeechCache:
    """Looks up stored speech, and coalesces concurrent identical requests."""

    def __init__(self, settings: Settings, own: object = None, workers: int = 1) -> None:
        """``own``: the settings of the engine's plugin; ``workers``: how many share the folder."""
        limit = settings.cache_mb * 1_000_000
        self.counts = CacheCounts()
        self._store = SpeechStore(settings.cache_folder / FOLDER, limit, workers)
        self._own = own
        self._clips = ClipHashes()
        self._shared: dict[str, SharedSpeech] = {}
        self._ended = 0
        """How many shared speeches can no longer be joined; changed after they are stored."""
        self._lock = threading.RLock()

    def key(
        self, engine: Engine, utterance: Utterance, output: OutputSpec, frames: str
    ) -> str | None:
        """Return the key of a speech, or None if the voice's clip cannot be read.

        ``frames``: how the audio is packed.  Reads, and so normalizes, the text of all segments.
        """
        clip = utterance.voice.audio
        try:
            hashed = self._clips.get(clip) if clip is not None else ""
        except OSError as error:
            logger.warning("the clip of %r cannot be read: %s", utterance.voice.id, error)
            return None
        engine_id = engine.name, engine.version
        return speech_key(engine_id, self._own, utterance, output, frames, hashed)

    def source(self, key: str, producer: Producer) -> Source:
        """Return the source of a speech: a stored entry, or a subscription to a shared speech.

        ``producer``: is used on a miss, if no concurrent request makes the speech.
        """
        looked_at = -1
        while True:
            with self._lock:
                shared = self._shared.get(key)
                # None has ended since the store had no entry, so none was stored meanwhile.
                if shared is None and looked_at == self._ended:
                    shared = self._shared[key] = self._share(key)
                if shared is not None:
                    return shared.subscribe(producer)
                looked_at = self._ended
            if (stored := self._store.get(key)) is not None:
                return stored

    def count(self, *, hit: bool) -> None:
        """Count a response."""
        with self._lock:
            self.counts.hits += hit
            self.counts.misses += not hit

    def _share(self, key: str) -> SharedSpeech:
        return SharedSpeech(
            self._lock,
            min(MAX_BUFFERED, self._store.max_entry),
            partial(self._put, key),
            partial(self._end, key),
        )

    def _end(self, key: str) -> None:
        """Forget a shared speech.  The lock is held."""
        del self._shared[key]
        self._ended += 1

    def _put(self, key: str, shared: SharedSpeech) -> None:
        assert shared.producer is not None
        if self._store.put(key, shared.chunks, shared.producer.seconds):
            with self._lock:
                self.counts.stored_bytes += sum(map(len, shared.chunks))
