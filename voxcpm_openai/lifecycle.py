"""The lifecycle of the engine: it starts in a thread while the server already answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from voxcpm_openai import gpus
from voxcpm_openai.contract_checks import engine_problems, status_problems
from voxcpm_openai.contracts import Engine, EngineStatus
from voxcpm_openai.errors import (
    Draining,
    EngineFailed,
    EngineLoading,
    PluginError,
    StartError,
    Unavailable,
    VoxcpmError,
)
from voxcpm_openai.registry import EngineChoice
from voxcpm_openai.settings import Settings

logger = logging.getLogger(__name__)

LOADING_RETRY = 5
"""Seconds after which a client may try again while the engine loads."""
FAILED_RETRY = 60
"""Seconds after which a client may try again when only a restart helps."""


class EngineLifecycle:
    """One engine through its states: loading, ready or failed, draining, stopped."""

    def __init__(
        self,
        choice: EngineChoice,
        settings: Settings,
        prepare: Callable[[Engine], None] = lambda _engine: None,
    ) -> None:
        """``prepare`` loads what requests to the started engine need."""
        self.name = choice.spec.name
        self.reason = choice.reason
        self._choice = choice
        self._settings = settings
        self._prepare = prepare
        self._engine: Engine | None = None
        self._failure: StartError | None = None
        self._draining = False
        self._settled = threading.Event()
        self._lock = threading.Lock()  # orders the end of a start and a stop

    def start(self, ready: Callable[[], None] | None = None) -> None:
        """Start the engine in the background; call ``ready`` from there once it is warm."""
        thread = threading.Thread(
            target=self._load, args=(ready,), name=f"start-{self.name}", daemon=True
        )
        thread.start()

    def run(self) -> Engine:
        """Start the engine in this thread and return it.  Raises StartError."""
        self._load(None)
        if self._failure is not None:
            raise self._failure
        return self.get()

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
                retry_after=FAILED_RETRY,
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

    @property
    def lost(self) -> bool:
        """Whether the engine has failed after its start, such as by a lost device."""
        try:
            return self._engine is not None and self.status().state == "failed"
        except Unavailable:
            return False

    def status(self) -> EngineStatus:
        """Return the engine's status.  Raises as ``get``, and EngineFailed if there is none."""
        engine = self.get()
        try:
            status = engine.status()
        except Exception as error:  # a plugin may fail in any way
            logger.exception("engine %s: status() failed", self.name)
            raise self._without_status() from error
        if problems := status_problems(status):
            logger.error("engine %s: %s", self.name, "; ".join(problems))
            raise self._without_status()
        return status

    def drain(self) -> None:
        """Refuse new requests; running ones go on.  Safe in a signal handler: sets a flag."""
        self._draining = True

    def stop(self) -> None:
        """Stop the engine, also one that is still starting."""
        self._draining = True
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            self._stop(engine)

    def _load(self, ready: Callable[[], None] | None) -> None:
        begun = time.monotonic()
        try:
            engine = self._started()
            self._prepare(engine)
        except StartError as error:  # its message says what to change
            # A cause is an error that the plugin did not raise on purpose: log its traceback.
            logger.error(  # noqa: TRY400
                "engine %s did not start: %s", self.name, error, exc_info=error.__cause__
            )
            self._failure = error
            self._settled.set()
            return
        with self._lock:
            stopped = self._draining
            if not stopped:
                self._engine = engine
        self._settled.set()
        if stopped:
            self._stop(engine)
            return
        logger.info("engine %s is warm after %.1f s", self.name, time.monotonic() - begun)
        if ready is not None:
            ready()

    def _started(self) -> Engine:
        """Start the engine and check it.  Raises StartError, naming the plugin unless it did."""
        plugin = f"plugin {self._choice.plugin!r}"
        try:
            gpus.give_named(self._choice.device(self._settings))
            engine = self._choice.spec.start(self._settings)
            if isinstance(engine, Engine):
                engine.name = self.name
        except StartError:
            raise
        except VoxcpmError as error:
            raise PluginError(f"{plugin}: the engine {self.name!r} cannot start: {error}") from None
        except (Exception, SystemExit) as error:  # a plugin may fail in any way
            raise PluginError(
                f"{plugin}: the engine {self.name!r} cannot start: {type(error).__name__}: {error}"
            ) from error
        if problems := engine_problems(engine):
            if isinstance(engine, Engine):
                self._stop(engine)
            raise PluginError(
                f"{plugin}: the engine {self.name!r} breaks its contract: {'; '.join(problems)}."
            )
        return engine

    def _stop(self, engine: Engine) -> None:
        try:
            engine.stop()
        except Exception:  # a plugin may fail in any way; the rest must still be stopped
            logger.exception("engine %s: stop() failed", self.name)

    def _without_status(self) -> EngineFailed:
        return EngineFailed(
            f"The engine {self.name} cannot report its status; the server's log says why.",
            retry_after=FAILED_RETRY,
        )
