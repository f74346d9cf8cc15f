"""The recorder of usage: aggregates in memory, and writes in the background."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import defaultdict

from voxcpm_openai.accounts.usage_store import HOUR, STORE_ERRORS, Amounts, Slot, UsageStore

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds between writes; a killed process loses the usage since the last one."""
MAX_PENDING = 10_000
"""The most slots (hour, key and model) in memory; usage of further ones is dropped."""


class UsageRecorder:
    """Records usage.  No request waits for the file, or fails because of it."""

    def __init__(self, store: UsageStore, interval: float = INTERVAL) -> None:
        """``interval``: seconds."""
        self.failures = 0
        """The number of failed writes."""
        self.lost = 0
        """The number of dropped requests."""
        self._store = store
        self._interval = interval
        self._pending: defaultdict[Slot, Amounts] = defaultdict(Amounts)
        self._timer: threading.Timer | None = None
        self._is_failing = False
        self._closes_at_exit = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, key: str, model: str, amounts: Amounts) -> None:
        """Add usage by a key of a model, now.  Never raises, never waits for the disk."""
        slot = Slot(int(time.time()) // HOUR * HOUR, key, model)
        with self._lock:
            if slot not in self._pending and len(self._pending) >= MAX_PENDING:
                self.lost += amounts.requests
                return
            self._pending[slot] += amounts
            self._schedule()

    def flush(self) -> None:
        """Write pending usage, in this thread.  If that fails, it stays pending."""
        with self._writing:
            with self._lock:
                batch = self._pending
                self._pending = defaultdict(Amounts)
            if not batch:
                return
            try:
                self._store.add(batch)
            except STORE_ERRORS as error:
                self._fail(error)
                with self._lock:
                    for slot, amounts in batch.items():
                        self._pending[slot] += amounts
                    self._schedule()
                return
        if self._is_failing:
            logger.info("usage is written again; %d requests were dropped", self.lost)
        self._is_failing = False

    def close(self) -> None:
        """Write pending usage for the last time."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.flush()

    def _schedule(self) -> None:
        """Start a timer for the next write; there is none while nothing is pending."""
        if self._timer is not None:
            return
        if not self._closes_at_exit:
            self._closes_at_exit = True
            atexit.register(self.close)
        timer = threading.Timer(self._interval, self._on_time)
        timer.daemon, timer.name = True, "usage"
        try:
            timer.start()
        except RuntimeError:  # the system has no more threads: the next request tries again
            return
        self._timer = timer

    def _on_time(self) -> None:
        with self._lock:
            self._timer = None
        self.flush()

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        if not self._is_failing:
            logger.error("usage cannot be written and stays in memory: %s", error)
        self._is_failing = True
