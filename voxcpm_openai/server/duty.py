"""When a worker takes connections, and when it leaves: alone, among others, replaced, stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import Any, Protocol

from voxcpm_openai.context import AppContext
from voxcpm_openai.lifecycle import SERVING
from voxcpm_openai.server.board import BoardRow
from voxcpm_openai.server.connection import Connection, State

logger = logging.getLogger(__name__)

LAST_REQUESTS = 2.0
"""Seconds in which a leaving worker still answers on connections that it has kept alive."""
LEAD = 2
"""Connections that a worker may have beyond those of another before it leaves new ones to it."""
NEWS = 0.5
"""Seconds after which a worker that is alone says anew how it is."""


class Process(Protocol):
    """What it needs of its worker."""

    alive: bool
    """Whether it was not told to stop."""
    cfg: Any

    @property
    def connections(self) -> Collection[Connection]:
        """All connections."""

    @property
    def loaded(self) -> Collection[Connection]:
        """Those that have, or may soon have, a running request."""

    @property
    def waiting(self) -> Collection[Connection]:
        """Those that may bring another request: kept alive, or WebSockets."""

    def is_parent_alive(self) -> bool:
        """Return whether the master is there."""

    def close_idle(self) -> None:
        """Close the connections that wait for a request."""


class Duty:
    """The part of one worker in the work of all."""

    def __init__(self, worker: Process, row: BoardRow, context: AppContext) -> None:
        """``row``: of this worker."""
        self._worker = worker
        self._engine = context.engine
        self._limits = context.limits
        self._row = row
        self._published = self._looked = 0.0
        self._leaving: float | None = None  # since when

    def publish(self) -> None:
        """Tell the others how this worker is."""
        now = time.monotonic()
        if self._worker.cfg.workers == 1 and now < self._published + NEWS:
            return
        self._published = now
        state = self._engine.state if self._leaving is None else "draining"
        self._row.write(state, self._load(), self._limits.limit, len(self._worker.waiting))

    def accepts(self) -> bool:
        """Return whether new connections are for this worker."""
        if not self._worker.alive:
            # While a stopping server sends the last streams, newcomers are told so.
            return self._row.board.stopping or self._leaving is None
        others, state = self._row.others(), self._engine.state
        if state not in SERVING:
            return not any(other.state in SERVING for other in others)
        others = [other for other in others if other.has_room]
        limit, load = self._limits.limit, self._load()
        if load >= limit and others:
            self._worker.close_idle()
            return False
        # An unloaded engine is loaded only when the loaded and the loading ones have no room.
        if any(SERVING.index(other.state) < SERVING.index(state) for other in others):
            return False
        others = [other for other in others if other.state == state]
        # All that wait may ask at once: none has more of them than it can serve while another
        # has fewer, and streams are on all GPUs.
        mine = load + len(self._worker.waiting)
        fewest = min((other.load + other.waiting for other in others), default=mine)
        return mine <= fewest + LEAD and not fewest < limit <= mine

    def _load(self) -> int:
        """Return how many requests run, or may soon run, and how many sessions on sockets.

        Sessions have permits while they have something to say, as the requests for speech have.
        """
        loaded = tuple(self._worker.loaded)  # threads change it: see ``ConnectionLoop.release``
        requests = sum(conn.state is State.RUNNING for conn in loaded)
        return len(loaded) + max(0, self._limits.running - requests)

    def keep_alive(self) -> float:
        """Return the seconds that a connection may wait for its next request."""
        return float(self._worker.cfg.keepalive if self._worker.alive else LAST_REQUESTS)

    def done(self) -> bool:
        """Return whether to leave now."""
        if self._worker.alive and self._worker.is_parent_alive() and not self._is_lost():
            return False
        self._worker.alive = False
        stopping = self._row.board.stopping
        if stopping:
            self._engine.drain()
        elif self._awaits_successor():
            return False
        now = time.monotonic()
        if self._leaving is None:
            self._leaving = now
            self.publish()
        for conn in self._worker.connections:
            if conn.upgraded is not None:
                conn.upgraded.leave()
        if now > self._leaving + self._worker.cfg.graceful_timeout:
            return True
        if any(conn.busy for conn in self._worker.connections):
            return False
        idle = [conn for conn in self._worker.connections if conn.idle]
        if stopping:  # but who has just connected gets an answer
            idle = [conn for conn in idle if not conn.served and now < conn.since + LAST_REQUESTS]
            return not idle
        return not idle or now > self._leaving + LAST_REQUESTS

    def _is_lost(self) -> bool:
        """Return whether the engine has failed: the master starts another worker for this one."""
        now = time.monotonic()
        if now < self._looked + NEWS:
            return False
        self._looked = now
        if self._engine.lost:
            logger.error("engine %s has failed: this worker is replaced", self._engine.name)
            return True
        return False

    def _awaits_successor(self) -> bool:
        """Return whether to serve on until a worker that replaces this one is ready."""
        return (
            self._leaving is None
            and self._row.replaced
            and self._engine.state in SERVING
            and not self._row.has_successor()
        )
