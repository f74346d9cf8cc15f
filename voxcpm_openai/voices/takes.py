"""Takes: utterances spoken to their ends, side by side, to be kept as clips."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import numpy as np

from voxcpm_openai.contracts import AudioStream, Engine, Samples, Utterance
from voxcpm_openai.errors import ClientLeft, InvalidRequest
from voxcpm_openai.voices.clip import Clip


class Takes:
    """Some utterances on one engine; the first that fails ends them all."""

    def __init__(self, engine: Engine, utterances: Sequence[Utterance], at_once: int) -> None:
        """``at_once``: how many are spoken at a time."""
        self._engine = engine
        self._utterances = utterances
        self._at_once = at_once
        self._open: set[AudioStream] = set()
        self._cancelled = False
        self._lock = threading.Lock()

    def clips(self) -> list[tuple[Utterance, Clip]]:
        """Speak; return each utterance with its sound.

        Raises RequestError for what the engine refuses, and ClientLeft after ``cancel``.
        """
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="take") as pool:
            asked = [pool.submit(self._clip, utterance) for utterance in self._utterances]
            done, _ = wait(asked, return_when=FIRST_EXCEPTION)
            faults = [fault for take in done if (fault := take.exception()) is not None]
            if faults:
                self.cancel()  # the others: nobody waits for them
                raise faults[0]
        return [(u, take.result()) for u, take in zip(self._utterances, asked, strict=True)]

    def cancel(self) -> None:
        """End the work from any thread."""
        with self._lock:
            self._cancelled = True
            streams = list(self._open)
        for stream in streams:
            stream.close()

    def _clip(self, utterance: Utterance) -> Clip:
        if self._cancelled:
            raise ClientLeft
        stream = self._engine.speak(utterance)
        with self._lock:
            self._open.add(stream)
            late = self._cancelled
        try:
            parts: list[Samples] = [] if late else [chunk.samples for chunk in stream]
        finally:
            with self._lock:
                self._open.discard(stream)
            stream.close()
        if self._cancelled:
            raise ClientLeft
        if not any(map(len, parts)):
            raise InvalidRequest("The engine gave no sound at all.", param="voice")
        return Clip(np.concatenate(parts), self._engine.sample_rate)
