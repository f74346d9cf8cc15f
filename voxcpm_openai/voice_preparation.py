"""Lets the engine prepare voices in the background, so that no first request waits for that."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable

from voxcpm_openai.contracts import Voice
from voxcpm_openai.errors import RequestError
from voxcpm_openai.lifecycle import EngineLifecycle
from voxcpm_openai.voices.library import speaker_source

logger = logging.getLogger(__name__)


class VoicePreparation:
    """Voices that wait for ``Engine.prepare_voice``, one after the other.

    An engine that is unloaded is not loaded for it.
    """

    def __init__(self, lifecycle: EngineLifecycle) -> None:
        self._lifecycle = lifecycle
        self._voices: deque[Voice] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None  # while there are voices

    def add(self, voices: Iterable[Voice]) -> None:
        """Prepare these voices after those that wait; return at once."""
        with self._lock:
            self._voices.extend(voices)
            if self._voices and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="voices", daemon=True)
                self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until no voice is left."""
        if (thread := self._thread) is not None:
            thread.join(timeout)

    def _run(self) -> None:
        while (voice := self._next()) is not None:
            try:
                self._prepare(voice)
            except RequestError as error:  # the engine is not there, or cannot use the voice
                logger.debug("the voice %s is not prepared: %s", voice.id, error.message)
            except (Exception, SystemExit):  # a plugin may fail in any way
                logger.exception(
                    "engine %s: prepare_voice() failed for the voice %s",
                    self._lifecycle.name,
                    voice.id,
                )

    def _next(self) -> Voice | None:
        with self._lock:
            if not self._voices:
                self._thread = None
                return None
            return self._voices.popleft()

    def _prepare(self, voice: Voice) -> None:
        life = self._lifecycle
        capabilities = life.wait().capabilities
        if life.state != "ready":
            return
        speaker_source(voice, life.name, capabilities)  # raises if it cannot speak with the voice
        engine = life.acquire()
        try:
            engine.prepare_voice(voice)
        finally:
            life.release()
