"""The running engine: started in a thread of its own while the server already answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from voxcpm_openai.contracts import Engine
from voxcpm_openai.errors import Draining, EngineFailed, EngineLoading
from voxcpm_openai.registry import Choice
from voxcpm_openai.settings import Settings

logger = logging.getLogger(__name__)

LOADING_RETRY = 5
"""Seconds after which a client may ask again while the engine loads."""


class RunningEngine:
    """One engine and its life: loading → ready or failed → draining → stopped."""

    def __init__(self, choice: Choice, settings: Settings) -> None:
        self.name = choice.spec.name
        self.why = choice.why
        self._spec = choice.spec
        self._settings = settings
        self._engine: Engine | None = None
        self._failure: str | None = None
        self._draining = False
        self._settled = threading.Event()
        self._lock = threading.Lock()  # guards the start against a stop that overtakes it

    def start(self, ready: Callable[[], None] | None = None) -> None:
        """Start the engine in the background; call ``ready`` from there once it is warm."""
        thread = threading.Thread(
            target=self._load, args=(ready,), name=f"start-{self.name}", daemon=True
        )
        thread.start()

    def wait(self, timeout: float | None = None) -> Engine:
        """Wait until the engine is warm and return it.  Raises as ``get`` does."""
        self._settled.wait(timeout)
        return self.get()

    def get(self) -> Engine:
        """Return the engine.  Raises EngineLoading, EngineFailed or Draining."""
        if self._draining:
            raise Draining("The server is stopping and takes no new requests.")
        if self._failure is not None:
            raise EngineFailed(
                f"The engine {self.name} did not start; the server's log says why. "
                "The operator must restart it.",
                retry_after=60,
            )
        if self._engine is None:
            raise EngineLoading(
                f"The engine {self.name} is still loading.", retry_after=LOADING_RETRY
            )
        return self._engine

    @property
    def state(self) -> str:
        """One of ``loading``, ``ready``, ``failed``, ``draining``."""
        if self._draining:
            return "draining"
        if self._failure is not None:
            return "failed"
        return "loading" if self._engine is None else "ready"

    def status(self) -> Mapping[str, object]:
        """Return the engine's look inside; empty until it is warm."""
        return {} if self._engine is None else self._engine.status()

    def drain(self) -> None:
        """Take no new requests; what runs goes on.  Safe in a signal handler: sets a flag."""
        self._draining = True

    def stop(self) -> None:
        """Stop the engine, or what becomes of it if it is still starting."""
        self._draining = True
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop()

    def _load(self, ready: Callable[[], None] | None) -> None:
        begun = time.monotonic()
        try:
            engine = self._spec.start(self._settings)
        except Exception as error:  # whatever it is, readiness must turn red and say so
            logger.exception("engine %s did not start", self.name)
            self._failure = str(error) or type(error).__name__
            self._settled.set()
            return
        with self._lock:
            stopped = self._draining
            if not stopped:
                self._engine = engine
        self._settled.set()
        if stopped:
            engine.stop()
            return
        logger.info("engine %s is warm after %.1f s", self.name, time.monotonic() - begun)
        if ready is not None:
            ready()
