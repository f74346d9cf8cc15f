"""Makers of speech for tests of the cache: each step waits until a test lets it."""

from __future__ import annotations

import threading
from typing import Any

from voxcpm_openai.errors import ClientLeft

SECONDS = 20
PARTS = [b"one", b"two", b"three"]


class Engine:
    """Makes what a test lets it: each part, and each beginning, needs a permit."""

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)
        self.makers: list[Maker] = []

    def maker(self, **facts: Any) -> Maker:
        self.makers.append(Maker(self, **facts))
        return self.makers[-1]

    def wait_asked(self) -> None:
        assert self.asked.acquire(timeout=SECONDS)

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self.permits.release()

    @property
    def opened(self) -> int:
        return sum(maker.opened for maker in self.makers)


class Maker:
    """A maker of ``PARTS``."""

    progress = 1.0
    seconds = 1.5

    def __init__(
        self,
        engine: Engine,
        parts: list[bytes] = PARTS,
        refusal: Exception | None = None,
        failure: Exception | None = None,
        *,
        whole: bool = True,
    ) -> None:
        self.engine = engine
        self.refusal, self.failure, self.whole = refusal, failure, whole
        self.opened = self.cancelled = self.closed = False
        self._parts = iter(parts)

    def open(self) -> None:
        self._wait()
        if self.refusal is not None:
            raise self.refusal
        self.opened = True

    def __iter__(self) -> Maker:
        return self

    def __next__(self) -> bytes:
        self._wait()
        try:
            return next(self._parts)
        except StopIteration:
            if self.failure is not None:
                raise self.failure from None
            raise

    def cancel(self) -> None:
        self.cancelled = True
        self.engine.let()

    def close(self) -> None:
        self.closed = True

    def _wait(self) -> None:
        self.engine.asked.release()
        assert self.engine.permits.acquire(timeout=SECONDS)
        if self.cancelled:
            raise ClientLeft
