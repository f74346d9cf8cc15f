"""A bound on what a worker keeps of requests and responses, in memory and in temporary files."""

from __future__ import annotations

import errno
import threading

LIMIT = 2 * 1024**3
"""Bytes: 200 uploads of clips at once, or 150 minutes of speech that clients have not taken."""


class SpoolSpace:
    """Counts bytes; any thread may call it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._free = limit
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Take bytes.  Raises OSError (ENOSPC) if there are not as many."""
        with self._lock:
            if count > self._free:
                raise OSError(errno.ENOSPC, "The space for requests and responses is used up")
            self._free -= count

    def give(self, count: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._free += count
