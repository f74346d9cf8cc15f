"""A gate that a test can inspect while streams wait at it."""

from __future__ import annotations

import threading
from typing import Any

from voxcpm_openai import DeadlineGate

TIMEOUT = 20
"""Seconds after which a thread that hangs fails its test."""


class ObservedEvent(threading.Event):
    """An event that signals when a thread starts to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.awaited.set()
        return super().wait(timeout)


class WatchedGate(DeadlineGate):
    """A gate that records its tickets and the deadlines of ``acquire``."""

    def __init__(self, places: int) -> None:
        super().__init__(places)
        self.tickets: list[Any] = []
        self.deadlines: list[float] = []

    def register(self) -> Any:
        ticket = super().register()
        ticket.wake = ObservedEvent()
        self.tickets.append(ticket)
        return ticket

    def acquire(self, ticket: Any, deadline: float) -> bool:
        self.deadlines.append(deadline)
        return super().acquire(ticket, deadline)

    def busy(self) -> Any:
        """Acquire a place and return its ticket."""
        ticket = self.register()
        assert self.acquire(ticket, 0.0)
        return ticket
