"""Bytes that a client has not taken yet: the first in memory, the rest in a temporary file."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque

from voxcpm_openai.server.spool_space import SpoolSpace

MEMORY = 256 * 1024
"""Bytes that are kept in memory; more go to a temporary file."""
STEP = 64 * 1024
"""Bytes that are offered to the socket at once."""
SENT = 1024 * 1024
"""Bytes that were sent are kept until there are so many, and as many as those that wait."""
URGENT = 4096
"""Urgent bytes that overtake; more wait as the others do."""


class Outbox:
    """A queue of bytes.

    What was offered and not dropped is offered again, from its start and no shorter, as TLS wants.
    """

    def __init__(self, space: SpoolSpace) -> None:
        self._space = space
        self._kept = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115  # see close
        self._start = self._end = 0
        self._sizes: deque[int] = deque()  # of what was put, as far as it waits
        self._between = False  # whether what was put before the first of them is sent, to its end
        self._offered = 0  # bytes from the start
        self._urgent = bytearray()
        self._overtakes = False  # whether urgent bytes are offered

    def __len__(self) -> int:
        return self._end - self._start + len(self._urgent)

    def put(self, data: bytes, *, urgent: bool = False) -> None:
        """Add bytes at the end; ``urgent``: before what was put earlier and is not begun.

        Into an empty queue, it is the rest of what was begun.  Raises OSError if they cannot be
        kept.
        """
        self._space.take(len(data))
        if urgent and len(self) and len(self._urgent) < URGENT:
            self._urgent += data
            return
        if not len(self):
            self._between, self._offered = False, min(STEP, len(data))
        self._kept.seek(self._end)
        self._kept.write(data)
        self._end += len(data)
        self._sizes.append(len(data))

    def peek(self) -> bytes:
        """Return the first bytes, up to 64 KiB."""
        if self._urgent and self._between and not self._offered:
            self._overtakes = True
        if self._overtakes:
            return bytes(self._urgent)
        size = min(STEP, self._end - self._start)
        if self._urgent and not self._offered:
            size = min(size, self._sizes[0])
        self._offered = size
        self._kept.seek(self._start)
        return self._kept.read(size)

    def drop(self, count: int) -> None:
        """Remove bytes from the start."""
        if self._overtakes:
            del self._urgent[:count]
            self._space.give(count)
            self._overtakes = bool(self._urgent)
            return
        self._start += count
        self._offered = 0
        while count:
            count -= (step := min(count, self._sizes[0]))
            self._sizes[0] -= step
            self._between = not self._sizes[0]
            if self._between:
                self._sizes.popleft()
        if self._start == self._end or self._start >= max(SENT, self._end - self._start):
            self._forget()

    def close(self) -> None:
        """Free the memory, or delete the file."""
        self._kept.close()
        self._space.give(self._end + len(self._urgent))
        self._start = self._end = 0
        self._urgent.clear()
        self._sizes.clear()

    def _forget(self) -> None:
        """Free what was sent: a client that is always a little late would fill the disk."""
        old, self._kept = self._kept, tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115
        old.seek(self._start)
        shutil.copyfileobj(old, self._kept, MEMORY)
        old.close()
        self._space.give(self._start)
        self._start, self._end = 0, self._end - self._start
