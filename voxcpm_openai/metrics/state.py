"""The state of a worker as metrics: its streams, its sockets, its engine, its cache."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from voxcpm_openai.errors import RequestError
from voxcpm_openai.lifecycle import STATES, EngineLifecycle
from voxcpm_openai.limits import SocketLimiter, StreamLimiter

if TYPE_CHECKING:
    from voxcpm_openai.cache.speech_cache import CacheCounts
    from voxcpm_openai.metrics.families import Metrics

INTERVAL = 1.0
"""Seconds between two updates: any worker may be scraped, and reads the files of the others."""
PUBLISHED_STATES = (*STATES, "stopped")
"""All states of an ``EngineLifecycle`` and of an ``EngineStatus``."""


class StatePublisher:
    """Publishes the state of this process, also from several threads at once."""

    def __init__(
        self,
        metrics: Metrics,
        engine: EngineLifecycle,
        streams: StreamLimiter,
        sockets: SocketLimiter,
        model: str,
        cache: CacheCounts | None = None,
    ) -> None:
        """``model``: the label of the metrics for autoscalers; ``cache``: None if it is off."""
        self._metrics = metrics
        self._engine = engine
        self._streams = streams
        self._sockets = sockets
        self._model = model
        self._cache = cache
        self._hits = self._misses = 0  # of the cache, published so far
        self._details: set[str] = set()  # names published so far
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def start(self) -> None:
        """Publish periodically, in a thread, until ``stop``."""
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Stop the thread.  Publish the last counts: they outlive the worker."""
        self._ended.set()
        with self._lock:
            self._publish_cache()

    def publish(self) -> None:
        """Publish the current state."""
        with self._lock:
            self._publish_engine()
            self._publish_cache()

    def _publish_engine(self) -> None:
        """Publish the engine and what it serves.  The lock is held."""
        metrics, running = self._metrics, self._streams.running
        state, working, waiting = self._engine.state, 0, self._streams.waiting
        try:
            status = self._engine.status()
        except RequestError:
            pass  # it is loading, unloaded, draining or has failed
        else:
            working, waiting = status.running, waiting + status.waiting
            state = status.state if state == "ready" else state
            for name, value in _numbers(status.details):
                self._details.add(name)
                metrics.engine_detail.labels(name).set(value)
        if state == "unloaded":  # its memory is free
            for name in self._details:
                metrics.engine_detail.labels(name).set(0)
        for one in PUBLISHED_STATES:
            metrics.engine_state.labels(self._engine.name, one).set(one == state)
        metrics.engine_running.set(working)
        metrics.requests_waiting.set(waiting)
        metrics.streams_running.set(running)
        metrics.streams_limit.set(self._streams.limit)
        metrics.sockets_open.set(self._sockets.open)
        metrics.sockets_limit.set(self._sockets.limit)
        metrics.vllm_running.labels(self._model).set(running)
        metrics.vllm_waiting.labels(self._model).set(waiting)

    def _publish_cache(self) -> None:
        """Publish the cache's counts.  The lock is held."""
        if self._cache is None:
            return
        hits, misses = self._cache.hits, self._cache.misses
        self._metrics.cache_hits.inc(hits - self._hits)
        self._metrics.cache_misses.inc(misses - self._misses)
        self._metrics.cache_bytes.set(self._cache.stored_bytes)
        self._hits, self._misses = hits, misses

    def _run(self) -> None:
        while not self._ended.is_set():
            self.publish()
            self._ended.wait(INTERVAL)


def _numbers(details: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of nested details: ``runner_memory_bytes`` is in ``runner``."""
    for name, value in details.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}_")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", float(value)
