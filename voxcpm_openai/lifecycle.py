"""The lifecycle of the engine: it starts in a thread while the server already answers.

With ``VOXCPM_IDLE_UNLOAD``, it is unloaded when idle and loaded by the next speech request.
"""

from __future__ import annotations

import gc
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voxcpm_openai.contract_checks import status_problems
from voxcpm_openai.contracts import Engine, EngineStatus
from voxcpm_openai.engine_handle import EngineHandle
from voxcpm_openai.engine_start import start_engine, stop_engine
from voxcpm_openai.errors import (
    ClientLeft,
    Draining,
    EngineFailed,
    EngineLoading,
    StartError,
    Unavailable,
    WakeFailed,
)
from voxcpm_openai.registry import EngineChoice
from voxcpm_openai.settings import Settings

logger = logging.getLogger(__name__)

LOADING_RETRY = 5
"""Seconds after which a client may try again while the engine loads."""
FAILED_RETRY = 60
"""Seconds after which a client may try again when only a restart helps."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds until the next attempt after a failed load; doubled by each further failure."""
UNLOADED = ("waking", "unloaded")
"""The states in which the engine is not loaded, and a speech request loads it."""
SERVING = ("ready", *UNLOADED)
"""The states in which speech requests are accepted, the preferred one of several workers first."""
STATES = ("loading", "ready", "failed", "draining", *UNLOADED)


class EngineLifecycle:
    """One engine through its states: loading, ready or failed, draining, stopped.

    One that may be unloaded also has the states ``UNLOADED``; ``get`` then always returns the same
    handle.
    """

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
        self._draining = self._stopped = self._status_failing = False
        self._settled = threading.Event()
        self._changed = threading.Condition()  # of all above and below
        self._handle: EngineHandle | None = None  # after the first start, if it may be unloaded
        self._uses = 0  # open streams, which keep the engine loaded
        self._last_use = 0.0  # when the last one ended
        self._waking = False
        self._failures = 0  # consecutive, of loading it again
        self._retry_at = 0.0
        self._switching = threading.Lock()  # one engine is stopped before the next one is loaded

    def start(self, ready: Callable[[], None] | None = None) -> None:
        """Start the engine in the background; call ``ready`` from there once it is warm.

        From then on it may be unloaded, if the settings say so.
        """
        self._in_thread("start", lambda: self._load(ready, unloads=self._settings.idle_unload > 0))

    def run(self) -> Engine:
        """Start the engine in this thread and return it.  Raises StartError."""
        self._load(None, unloads=False)
        if self._failure is not None:
            raise self._failure
        return self.get()

    def wait(self, timeout: float | None = None) -> Engine:
        """Wait until the engine is warm and return it.  Raises as ``get`` does."""
        self._settled.wait(timeout)
        return self.get()

    def get(self) -> Engine:
        """Return the engine, or its handle.  Raises EngineLoading, EngineFailed or Draining."""
        if self._draining:
            raise Draining("The server is stopping and takes no new requests.")
        if self._failure is not None:
            raise EngineFailed(
                f"The engine {self.name} did not start; the server's log says why. "
                "The operator must restart it.",
                retry_after=FAILED_RETRY,
            )
        engine = self._handle or self._engine
        if engine is None:
            raise self._loading()
        return engine

    def acquire(self, left: Callable[[], bool] = lambda: False) -> Engine:
        """Return the engine, and keep it loaded until ``release``.

        If it was unloaded, load it and wait up to ``idle_wait`` seconds.  Raises EngineLoading if
        that was not enough, WakeFailed, Draining if the engine was stopped, and ClientLeft if
        ``left()``: call ``notify_waiting`` when that changes.
        """
        with self._changed:
            if self._engine is None and not self._stopped:
                self._wake()
                self._changed.wait_for(
                    lambda: left() or self._engine or not self._waking or self._stopped,
                    self._settings.idle_wait,
                )
            if left():
                raise ClientLeft
            if self._stopped:
                raise Draining("The server has stopped its engine.")
            if self._engine is None:
                raise self._loading() if self._waking else self._wake_failed()
            self._uses += 1
            return self._engine

    def release(self) -> None:
        """Allow the engine to be unloaded; call once for each ``acquire``."""
        with self._changed:
            self._uses -= 1
            self._last_use = time.monotonic()
            self._changed.notify_all()

    @contextmanager
    def awake(self, left: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Keep the engine loaded in the ``with`` block.  Raises as ``acquire``."""
        self.acquire(left)
        try:
            yield
        finally:
            self.release()

    def notify_waiting(self) -> None:
        """Wake the threads in ``acquire``, to check whether their client has left."""
        with self._changed:
            self._changed.notify_all()

    def unload(self) -> bool:
        """Stop the engine and free its memory, unless it is in use; return whether it stopped."""
        with self._switching:
            with self._changed:
                if self._engine is None or self._uses or self._draining:
                    return False
                engine, self._engine = self._engine, None
            stop_engine(engine)
            del engine
            gc.collect()
            try:
                self._choice.spec.free()
            except (Exception, SystemExit):  # a plugin may fail in any way
                logger.exception("engine %s: free() failed", self.name)
        logger.info("engine %s is unloaded; the next speech request loads it", self.name)
        return True

    @property
    def state(self) -> str:
        """One of ``loading``, ``ready``, ``failed``, ``draining``, ``unloaded``, ``waking``."""
        if self._draining:
            return "draining"
        if self._failure is not None:
            return "failed"
        if self._engine is not None:
            return "ready"
        if self._handle is None:
            return "loading"
        if self._waking:
            return "waking"
        return "failed" if time.monotonic() < self._retry_at else "unloaded"

    @property
    def lost(self) -> bool:
        """Whether the engine has failed after its start, such as by a lost device."""
        try:
            return self._engine is not None and self.status().state == "failed"
        except Unavailable:
            return False

    def status(self) -> EngineStatus:
        """Return the engine's status.

        Raises as ``get``, and EngineFailed, EngineLoading or WakeFailed if there is none.
        """
        self.get()
        engine = self._engine
        if engine is None:
            raise self._wake_failed() if self.state == "failed" else self._loading()
        try:
            status = engine.status()
            if problems := status_problems(status):
                raise TypeError("; ".join(problems))  # noqa: TRY301
        except (Exception, SystemExit) as error:  # a plugin may fail in any way
            if not self._status_failing:  # it is called every second: log the first failure only
                logger.exception("engine %s: status() failed", self.name)
            self._status_failing = True
            raise EngineFailed(
                f"The engine {self.name} cannot report its status; the server's log says why.",
                retry_after=FAILED_RETRY,
            ) from error
        self._status_failing = False
        return status

    def drain(self) -> None:
        """Refuse new requests; running ones go on.  Safe in a signal handler: sets a flag."""
        self._draining = True

    def stop(self) -> None:
        """Stop the engine, also one that is still starting."""
        with self._changed:
            self._draining = self._stopped = True
            engine, self._engine = self._engine, None
            self._changed.notify_all()
        if engine is not None:
            stop_engine(engine)

    def _load(self, ready: Callable[[], None] | None, *, unloads: bool) -> None:
        """Start the engine for the first time."""
        begun = time.monotonic()
        try:
            engine = start_engine(self._choice, self._settings)
            self._prepare(engine)
        except StartError as error:
            self._failure = error
            self._log_failure(error)
            self._settled.set()
            return
        with self._changed:
            stopped = self._draining
            if not stopped:
                if unloads:
                    self._handle = EngineHandle(engine, self.acquire, self.release, self.status)
                self._engine, self._last_use = engine, time.monotonic()
        self._settled.set()
        if stopped:
            stop_engine(engine)
            return
        logger.info("engine %s is warm after %.1f s", self.name, time.monotonic() - begun)
        del engine  # this thread goes on for as long as the server runs
        if ready is not None:
            ready()
        if unloads:
            self._unload_when_idle()

    def _unload_when_idle(self) -> None:
        """Unload the engine each time it was not used for ``idle_unload`` seconds."""
        while self._wait_until_idle():
            self.unload()

    def _wait_until_idle(self) -> bool:
        """Wait until the engine may be unloaded; return False if the server stops."""
        with self._changed:
            while not self._draining:
                remaining = None  # in use or unloaded: wait for the next change
                if self._engine is not None and not self._uses:
                    remaining = self._last_use + self._settings.idle_unload - time.monotonic()
                    if remaining <= 0:
                        return True
                self._changed.wait(remaining)
            return False

    def _wake(self) -> None:
        """Start loading the engine again, unless a thread is doing so.  The lock is held.

        Raises WakeFailed before the time of the next attempt.
        """
        if self._waking:
            return
        if time.monotonic() < self._retry_at:
            raise self._wake_failed()
        self._waking = True
        self._in_thread("wake", self._load_again)

    def _load_again(self) -> None:
        begun = time.monotonic()
        engine: Engine | None = None
        with self._switching:
            try:
                engine = start_engine(self._choice, self._settings)
            except StartError as error:
                self._log_failure(error)
        with self._changed:
            self._waking = False
            stopped = self._stopped
            if engine is None:
                self._failures += 1
                pause = min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE)
                self._retry_at = time.monotonic() + pause
            elif not stopped and self._handle is not None:
                self._handle.renew(engine)
                self._engine, self._last_use, self._failures = engine, time.monotonic(), 0
            self._changed.notify_all()
        if engine is not None and stopped:
            stop_engine(engine)
        elif engine is not None:
            logger.info("engine %s is loaded again, %.1f s", self.name, time.monotonic() - begun)

    def _in_thread(self, what: str, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=f"{what}-{self.name}", daemon=True).start()

    def _log_failure(self, error: StartError) -> None:
        # A cause is an error that the plugin did not raise on purpose: log its traceback.
        logger.error("engine %s did not start: %s", self.name, error, exc_info=error.__cause__)

    def _loading(self) -> EngineLoading:
        return EngineLoading(f"The engine {self.name} is still loading.", retry_after=LOADING_RETRY)

    def _wake_failed(self) -> WakeFailed:
        return WakeFailed(
            f"The engine {self.name} was unloaded and could not be loaded again; the server's log "
            "says why. The next request tries it again.",
            retry_after=math.ceil(self._retry_at - time.monotonic()),
        )
