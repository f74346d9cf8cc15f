"""Producers for tests of the cache: each step waits until a test allows it."""

from __future__ import annotations

import threading
from typing import Any

from voxcpm_openai.errors import ClientLeft

SECONDS = 20
CHUNKS = [b"one", b"two", b"three"]


class ControlledEngine:
    """Each ``open`` and each chunk of its producers needs a permit from the test."""

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)
        self.steps = threading.Semaphore(0)
        self.producers: list[FakeProducer] = []

    def producer(self, **facts: Any) -> FakeProducer:
        self.producers.append(FakeProducer(self, **facts))
        return self.producers[-1]

    def wait_for_step(self) -> None:
        assert self.steps.acquire(timeout=SECONDS)

    def allow(self, count: int = 1) -> None:
        for _ in range(count):
            self.permits.release()

    @property
    def opened(self) -> int:
        return sum(producer.opened for producer in self.producers)


class FakeProducer:
    """Produces ``CHUNKS``."""

    progress = 1.0
    hit = False
    seconds = 1.5

    def __init__(
        self,
        engine: ControlledEngine,
        chunks: list[bytes] = CHUNKS,
        refusal: Exception | None = None,
        failure: Exception | None = None,
        *,
        complete: bool = True,
    ) -> None:
        self.engine = engine
        self.refusal, self.failure, self.complete = refusal, failure, complete
        self.opened = self.cancelled = self.closed = False
        self._chunks = iter(chunks)

    def open(self) -> None:
        self._wait()
        if self.refusal is not None:
            raise self.refusal
        self.opened = True

    def __iter__(self) -> FakeProducer:
        return self

    def __next__(self) -> bytes:
        self._wait()
        try:
            return next(self._chunks)
        except StopIteration:
            if self.failure is not None:
                raise self.failure from None
            raise

    def cancel(self) -> None:
        self.cancelled = True
        self.engine.allow()

    def close(self) -> None:
        self.closed = True

    def _wait(self) -> None:
        self.engine.steps.release()
        assert self.engine.permits.acquire(timeout=SECONDS)
        if self.cancelled:
            raise ClientLeft
