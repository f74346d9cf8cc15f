"""Kokoro as a synthesizer of phonemes, loaded at its first use and unloaded when idle."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from voxcpm_openai.contracts import Samples
from voxcpm_openai.embedded.kokoro import model, voices
from voxcpm_openai.embedded.kokoro.loudness import RATE, trim
from voxcpm_openai.embedded.kokoro.vocabulary import has_sound, ids_of, parts
from voxcpm_openai.errors import Unavailable

logger = logging.getLogger(__name__)

SPARE = 0.85
"""The part of the time that streams may need together; the rest is for other work."""
FADING = 0.8
"""What each render leaves of the weight of those before it in the real-time factor."""
UNMEASURED = 2
"""The streams that may begin before a render was measured."""
PEAK = np.float32(0.99)
"""The highest sample value."""


class Timer(Protocol):
    """Calls a function once, later: ``threading.Timer``."""

    def start(self) -> None:
        """Start to wait."""

    def cancel(self) -> None:
        """Do not call it."""


def daemon_timer(seconds: float, call: Callable[[], None]) -> Timer:
    """Return a timer that does not keep the process alive."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    return timer


def give_memory_back() -> None:
    """Return free memory to the system; glibc would keep 140 MB of the unloaded network."""
    trim_heap = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim_heap is not None:
        trim_heap(0)


class Kokoro:
    """Turns phonemes into samples at 24 kHz.  Any thread may call it; renders take turns."""

    def __init__(
        self,
        folder: Path | None = None,
        threads: int = 1,
        idle: float | None = None,
        *,
        timer: Callable[[float, Callable[[], None]], Timer] = daemon_timer,
        clock: Callable[[], float] = time.perf_counter,
        loader: Callable[[Path | None, int], model.Network] = model.load,
    ) -> None:
        """``folder``: holds the network, None for the packages'; ``threads``: of one render.

        ``idle``: seconds without a render after which the network is unloaded; None: never.
        The others are for tests.
        """
        self._folder = folder
        self._threads = threads
        self._idle = idle
        self._new_timer = timer
        self._clock = clock
        self._loader = loader
        self._turn = threading.Lock()  # held while loading, rendering and unloading
        self._network: model.Network | None = None
        self._timer: Timer | None = None
        self._uses = 0
        self._closed = False
        self._took = self._heard = 0.0  # seconds of work, and of its audio

    @property
    def loaded(self) -> bool:
        """Whether the network is in memory."""
        return self._network is not None

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of work for a second of audio, of the latest renders; None before any."""
        return self._took / self._heard if self._heard else None

    @property
    def capacity(self) -> int:
        """How many streams it makes faster than they are heard; at least 1."""
        factor = self.real_time_factor
        return max(1, int(SPARE / factor)) if factor else UNMEASURED

    def load(self) -> None:
        """Load the network if it is not; wait if another thread does.

        Raises ``model.WrongModel``, and Unavailable after ``close``.
        """
        with self._turn:
            self._ready()
            self._used()

    def render(self, phonemes: str, voice: str, speed: float = 1.0) -> Samples:
        """Return speech, trimmed to 30 ms of silence at both ends; none without a known letter.

        ``voice``: an id of Kokoro or a mix; ``speed``: a factor, 0.5 to 2.  More phonemes than the
        network takes are synthesized in parts.  Raises InvalidRequest for an unknown voice,
        ``model.WrongModel`` if the network cannot be loaded, and Unavailable after ``close``.
        """
        gain = np.float32(voices.gain(voice))
        known = "".join(symbol for symbol in phonemes if ids_of(symbol))
        rendered = [self._run(part, voice, speed) for part in parts(known) if has_sound(part)]
        samples = np.concatenate(rendered or [np.zeros(0, np.float32)])
        return (samples * gain).clip(-PEAK, PEAK)

    def unload(self) -> None:
        """Free the network's memory; the next render loads it again."""
        with self._turn:
            self._drop()

    def close(self) -> None:
        """Free all resources.  Later renders raise Unavailable."""
        self._closed = True
        self.unload()

    def _run(self, phonemes: str, voice: str, speed: float) -> Samples:
        ids = ids_of(phonemes)
        style = voices.style(voice, len(ids))
        with self._turn:
            network = self._ready()
            begun = self._clock()
            samples = trim(network(ids, style, speed))
            self._measured(self._clock() - begun, len(samples) / RATE)
            self._used()
        return samples

    def _ready(self) -> model.Network:
        """Return the network, loaded.  ``_turn`` is held."""
        if self._closed:
            raise Unavailable("The Kokoro synthesizer has stopped.")
        if self._network is None:
            begun = self._clock()
            self._network = self._loader(self._folder, self._threads)
            logger.info("Kokoro loaded in %.1f s", self._clock() - begun)
        return self._network

    def _measured(self, took: float, heard: float) -> None:
        """Take the time of a render into the real-time factor; both in seconds.

        A long render counts for more than a short one, which has more silence to trim.
        """
        self._took = FADING * self._took + took
        self._heard = FADING * self._heard + heard

    def _used(self) -> None:
        """Start to wait for idleness anew.  ``_turn`` is held."""
        self._uses += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._idle is not None:
            uses = self._uses
            self._timer = self._new_timer(self._idle, lambda: self._unload_after(uses))
            self._timer.start()

    def _unload_after(self, uses: int) -> None:
        """Unload if nothing was rendered since; a timer may fire while a render begins."""
        with self._turn:
            if uses == self._uses:
                self._drop()
                logger.info("Kokoro was idle and is unloaded")

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._network is not None:
            self._network = None
            gc.collect()  # ONNX Runtime's session may be in a reference cycle
            give_memory_back()
