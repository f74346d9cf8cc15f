"""Turns that a test can look into while others wait for them."""

from __future__ import annotations

import threading
from typing import Any

from voxcpm_openai import Turns

TIMEOUT = 20
"""Seconds after which a thread that hangs fails its test."""


class Announced(threading.Event):
    """An event that tells when somebody begins to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.awaited.set()
        return super().wait(timeout)


class WatchedTurns(Turns):
    """Turns that note their tickets and the deadlines that were asked for."""

    def __init__(self, places: int) -> None:
        super().__init__(places)
        self.tickets: list[Any] = []
        self.deadlines: list[float] = []

    def enter(self) -> Any:
        ticket = super().enter()
        ticket.go = Announced()
        self.tickets.append(ticket)
        return ticket

    def take(self, ticket: Any, deadline: float) -> bool:
        self.deadlines.append(deadline)
        return super().take(ticket, deadline)

    def busy(self) -> Any:
        """Take a place, as a stream at work does; return its ticket."""
        ticket = self.enter()
        assert self.take(ticket, 0.0)
        return ticket
