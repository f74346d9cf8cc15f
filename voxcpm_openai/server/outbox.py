"""Bytes that a client has not taken yet: the first in memory, the rest in a temporary file."""

from __future__ import annotations

import tempfile

from voxcpm_openai.server.spool_space import SpoolSpace

MEMORY = 256 * 1024
"""Bytes that are kept in memory; more go to a temporary file."""
STEP = 64 * 1024
"""Bytes that are offered to the socket at once."""


class Outbox:
    """A queue of bytes."""

    def __init__(self, space: SpoolSpace) -> None:
        self._space = space
        self._kept = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115  # see close
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def put(self, data: bytes) -> None:
        """Add bytes at the end.  Raises OSError if they cannot be kept."""
        self._space.take(len(data))
        self._kept.seek(self._end)
        self._kept.write(data)
        self._end += len(data)

    def peek(self) -> bytes:
        """Return the first bytes, up to 64 KiB."""
        self._kept.seek(self._start)
        return self._kept.read(min(STEP, len(self)))

    def drop(self, count: int) -> None:
        """Remove bytes from the start."""
        self._start += count
        if self._start == self._end:
            self.close()
            self._kept = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115

    def close(self) -> None:
        """Free the memory, or delete the file."""
        self._kept.close()
        self._space.give(self._end)
        self._start = self._end = 0
