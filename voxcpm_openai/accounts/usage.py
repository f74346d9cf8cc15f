"""The recorder of usage: adds up in memory, and writes from time to time, beside the requests."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import defaultdict

from voxcpm_openai.accounts.usage_store import FAULTS, HOUR, Amounts, Slot, UsageStore

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds after which usage is written: what a killed process may lose."""
MOST_SLOTS = 10_000
"""The most keys, models and hours that wait to be written; further ones are lost, and counted."""


class UsageRecorder:
    """Records what was made, whatever happens to the file: no request fails or waits for it."""

    def __init__(self, store: UsageStore, interval: float = INTERVAL) -> None:
        """``interval``: seconds."""
        self.failures = 0
        """How often the file could not be written."""
        self.lost = 0
        """Requests that were not recorded, because too much waited to be written."""
        self._store = store
        self._interval = interval
        self._waiting: defaultdict[Slot, Amounts] = defaultdict(Amounts)
        self._timer: threading.Timer | None = None
        self._failing = False
        self._closes_at_exit = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, key: str, model: str, amounts: Amounts) -> None:
        """Add what a key has used of a model now.  Never raises, never waits for the disk."""
        slot = Slot(int(time.time()) // HOUR * HOUR, key, model)
        with self._lock:
            if slot not in self._waiting and len(self._waiting) >= MOST_SLOTS:
                self.lost += amounts.requests
                return
            self._waiting[slot] += amounts
            self._schedule()

    def flush(self) -> None:
        """Write what waits, in this thread.  What cannot be written waits for the next time."""
        with self._writing:
            with self._lock:
                batch = self._waiting
                self._waiting = defaultdict(Amounts)
            if not batch:
                return
            try:
                self._store.add(batch)
            except FAULTS as error:
                self._fail(error)
                with self._lock:
                    for slot, amounts in batch.items():
                        self._waiting[slot] += amounts
                    self._schedule()
                return
        if self._failing:
            logger.info("the usage is written again")
        self._failing = False

    def close(self) -> None:
        """Write what waits, for the last time."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.flush()

    def _schedule(self) -> None:
        """Write soon; no thread is there while there is nothing to write."""
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
        if not self._failing:
            logger.error("the usage cannot be written, it waits in memory: %s", error)
        self._failing = True
