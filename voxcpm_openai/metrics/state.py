"""The state of a worker as metrics: its streams, its sockets, its engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from voxcpm_openai.errors import RequestError
from voxcpm_openai.lifecycle import EngineLifecycle
from voxcpm_openai.limits import SocketLimiter, StreamLimiter

if TYPE_CHECKING:
    from voxcpm_openai.metrics.families import Metrics

INTERVAL = 1.0
"""Seconds after which a worker says anew how it is: any worker may be asked."""
STATES = ("loading", "ready", "failed", "draining", "stopped")


class StatePublisher:
    """Writes the state of this process."""

    def __init__(
        self,
        metrics: Metrics,
        engine: EngineLifecycle,
        streams: StreamLimiter,
        sockets: SocketLimiter,
        model: str,
    ) -> None:
        """``model``: the name under which autoscalers find the server."""
        self._metrics = metrics
        self._engine = engine
        self._streams = streams
        self._sockets = sockets
        self._model = model
        self._ended = threading.Event()

    def start(self) -> None:
        """Publish again and again, in a thread, until ``stop``."""
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Publish no more."""
        self._ended.set()

    def publish(self) -> None:
        """Write the state as it is now."""
        metrics, running = self._metrics, self._streams.running
        state, working, waiting = self._engine.state, 0, self._streams.waiting
        try:
            status = self._engine.status()
        except RequestError:
            pass  # it is loading, has failed or is draining
        else:
            working, waiting = status.running, waiting + status.waiting
            state = status.state if state == "ready" else state
            for name, value in _numbers(status.details):
                metrics.engine_detail.labels(name).set(value)
        for one in STATES:
            metrics.engine_state.labels(self._engine.name, one).set(one == state)
        metrics.engine_running.set(working)
        metrics.requests_waiting.set(waiting)
        metrics.streams_running.set(running)
        metrics.streams_limit.set(self._streams.limit)
        metrics.sockets_open.set(self._sockets.open)
        metrics.sockets_limit.set(self._sockets.limit)
        metrics.vllm_running.labels(self._model).set(running)
        metrics.vllm_waiting.labels(self._model).set(waiting)

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
