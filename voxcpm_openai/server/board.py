"""What the workers of one server know of each other: a table in shared memory.

The master makes it before it forks, and gives each worker a row.  A row is written by its worker
only, so there are no locks; a reader may see a row a moment late.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

from voxcpm_openai.errors import StartError

STATES = ("loading", "ready", "failed", "draining")

_TAKEN = -1  # the pid of a worker that is about to start
_HEADER = struct.Struct("iii")  # stopping, the last age that is replaced, rows used so far
_ROW = struct.Struct("iiiii")  # pid (0: free), age, state, load, limit


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A row: what a worker says of itself."""

    pid: int
    age: int
    """Its number: a later worker has a higher one."""
    state: str
    """One of ``STATES``."""
    load: int
    """Connections that have, or may soon have, a running request."""
    limit: int
    """Concurrent speech requests."""

    @property
    def has_room(self) -> bool:
        """Whether it takes another request."""
        return self.state == "ready" and self.load < self.limit


class Board:
    """The table of all workers, and what the master has decided."""

    def __init__(self, rows: int) -> None:
        """``rows``: the most workers at once; after a reload, old and new ones."""
        self._rows = rows
        self._memory = mmap.mmap(-1, _HEADER.size + rows * _ROW.size)

    @property
    def stopping(self) -> bool:
        """Whether the server stops."""
        return bool(self._header()[0])

    @property
    def replaced(self) -> int:
        """The age of the last worker that a reload replaces."""
        return self._header()[1]

    def stop(self) -> None:
        """Say that the server stops."""
        _HEADER.pack_into(self._memory, 0, 1, *self._header()[1:])

    def replace(self, age: int) -> None:
        """Say that workers up to an age are replaced by new ones."""
        stopping, _, used = self._header()
        _HEADER.pack_into(self._memory, 0, stopping, age, used)

    def workers(self) -> list[WorkerState]:
        """Return all workers."""
        rows = (
            _ROW.unpack_from(self._memory, self._place(row)) for row in range(self._header()[2])
        )
        return [
            WorkerState(pid, age, STATES[state], load, limit)
            for pid, age, state, load, limit in rows
            if pid > 0
        ]

    def take(self) -> int:
        """Return a free row for a new worker; the master calls it before it forks."""
        for row in range(self._rows):
            if not _ROW.unpack_from(self._memory, self._place(row))[0]:
                stopping, replaced, used = self._header()
                _HEADER.pack_into(self._memory, 0, stopping, replaced, max(used, row + 1))
                self.write(row, (_TAKEN, 0, 0, 0, 0))
                return row
        raise StartError(f"there are more than {self._rows} workers.")

    def free(self, row: int) -> None:
        """Free the row of a worker that has ended; the master calls it."""
        self.write(row, (0, 0, 0, 0, 0))

    def write(self, row: int, values: tuple[int, int, int, int, int]) -> None:
        """Write a row: pid, age, state, load, limit."""
        _ROW.pack_into(self._memory, self._place(row), *values)

    def _header(self) -> tuple[int, int, int]:
        stopping, replaced, used = _HEADER.unpack_from(self._memory)
        return stopping, replaced, used

    def _place(self, row: int) -> int:
        return _HEADER.size + row * _ROW.size


class BoardRow:
    """The row of one worker."""

    def __init__(self, board: Board, row: int, age: int) -> None:
        """``row``: from ``Board.take``; ``age``: the number of the worker."""
        self.board = board
        self.age = age
        self._row = row
        self._pid = os.getpid()

    def write(self, state: str, load: int, limit: int) -> None:
        """Say how this worker is."""
        values = (self._pid, self.age, STATES.index(state), load, limit)
        self.board.write(self._row, values)

    def others(self) -> list[WorkerState]:
        """Return the other workers."""
        return [worker for worker in self.board.workers() if worker.pid != self._pid]

    @property
    def replaced(self) -> bool:
        """Whether a reload replaces this worker."""
        return self.age <= self.board.replaced

    def has_successor(self) -> bool:
        """Return whether a worker that a reload has started is ready."""
        ready = [worker for worker in self.others() if worker.state == "ready"]
        return any(worker.age > self.board.replaced for worker in ready)
