"""What the workers of one server know of each other: a table in shared memory.

The master makes it before it forks, and gives each worker a row.  A row is written by its worker
only, so there are no locks; a reader may see a row a moment late.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from voxcpm_openai.errors import StartError
from voxcpm_openai.lifecycle import SERVING, STATES

_TAKEN = -1  # the pid of a worker that is about to start
_HEADER = struct.Struct("iii")  # stopping, the last age that is replaced, rows used so far
_AGE = struct.Struct("i")  # of the last worker that was started
_HEAD = _HEADER.size + _AGE.size
_NEWS = struct.Struct("iiiiii")  # pid (0: free), age, state, load, limit, waiting
_ROW = struct.Struct(f"{_NEWS.format}64s")  # and the GPU, which only the master writes


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A row: what a worker says of itself."""

    pid: int
    age: int
    """Its number: a later worker has a higher one."""
    state: str
    """Of its engine: one of ``STATES``."""
    load: int
    """Connections that have, or may soon have, a running request."""
    limit: int
    """Concurrent speech requests."""
    waiting: int = 0
    """Connections that may bring another request: those kept alive, and WebSockets."""
    gpu: str | None = None
    """The GPU that it was given, as in CUDA_VISIBLE_DEVICES, or None."""

    @property
    def has_room(self) -> bool:
        """Whether it takes another request."""
        return self.state in SERVING and self.load < self.limit


class Board:
    """The table of all workers, and what the master has decided."""

    def __init__(self, rows: int) -> None:
        """``rows``: the most workers at once; after a reload, old and new ones."""
        self._rows = rows
        self._memory = mmap.mmap(-1, _HEAD + rows * _ROW.size)

    @property
    def stopping(self) -> bool:
        """Whether the server stops."""
        return bool(self._header()[0])

    @property
    def replaced(self) -> int:
        """The age of the last worker that a reload replaces."""
        return self._header()[1]

    @property
    def last_age(self) -> int:
        """The age of the last worker that was started: how many there have been."""
        return int(_AGE.unpack_from(self._memory, _HEADER.size)[0])

    def stop(self) -> None:
        """Say that the server stops."""
        _HEADER.pack_into(self._memory, 0, 1, *self._header()[1:])

    def replace(self, age: int) -> None:
        """Say that workers up to an age are replaced by new ones."""
        stopping, _, used = self._header()
        _HEADER.pack_into(self._memory, 0, stopping, age, used)

    def workers(self) -> list[WorkerState]:
        """Return all workers that run."""
        return [worker for worker in self.started() if worker.pid != _TAKEN]

    def started(self) -> list[WorkerState]:
        """Return all workers, also those that are about to run."""
        rows = map(self._read, range(self._header()[2]))
        return [
            WorkerState(pid, age, STATES[state], load, limit, waiting, _text(gpu))
            for (pid, age, state, load, limit, waiting), gpu in rows
            if pid
        ]

    def take(self, age: int = 0, gpu: str = "") -> int:
        """Return a free row for a new worker; the master calls it before it forks."""
        for row in range(self._rows):
            if not self._read(row)[0][0]:
                stopping, replaced, used = self._header()
                self._clear(row, _TAKEN, age, gpu)
                _AGE.pack_into(self._memory, _HEADER.size, age)
                _HEADER.pack_into(self._memory, 0, stopping, replaced, max(used, row + 1))
                return row
        raise StartError(f"there are more than {self._rows} workers.")

    def free(self, row: int) -> None:
        """Free the row of a worker that has ended; the master calls it."""
        self._clear(row, 0, 0, "")

    def write(self, row: int, values: tuple[int, int, int, int, int, int]) -> None:
        """Write what a worker says in its row: pid, age, state, load, limit, waiting."""
        _NEWS.pack_into(self._memory, self._place(row), *values)

    def gpu_of(self, row: int) -> str | None:
        """Return the GPU of the worker of a row."""
        return _text(self._read(row)[1])

    def least_used(self, gpus: Sequence[str]) -> str:
        """Return the GPU for a new worker: the first with the fewest, empty if there are no GPUs.

        Those that a reload replaces leave, so they count only between equals.
        """
        used = [(worker.gpu, worker.age > self.replaced) for worker in self.started()]
        workers, stay = Counter(gpu for gpu, _ in used), Counter(gpu for gpu, new in used if new)
        return min(gpus, key=lambda gpu: (stay[gpu], workers[gpu]), default="")

    def _read(self, row: int) -> tuple[list[int], bytes]:
        *numbers, gpu = _ROW.unpack_from(self._memory, self._place(row))
        return numbers, gpu

    def _clear(self, row: int, pid: int, age: int, gpu: str) -> None:
        _ROW.pack_into(self._memory, self._place(row), pid, age, 0, 0, 0, 0, gpu.encode())

    def _header(self) -> tuple[int, int, int]:
        stopping, replaced, used = _HEADER.unpack_from(self._memory)
        return stopping, replaced, used

    def _place(self, row: int) -> int:
        return _HEAD + row * _ROW.size


def _text(gpu: bytes) -> str | None:
    return gpu.rstrip(b"\0").decode() or None


class BoardRow:
    """The row of one worker."""

    def __init__(self, board: Board, row: int, age: int) -> None:
        """``row``: from ``Board.take``; ``age``: the number of the worker."""
        self.board = board
        self.age = age
        self._row = row
        self._pid = os.getpid()

    def write(self, state: str, load: int, limit: int, waiting: int) -> None:
        """Say how this worker is."""
        values = (self._pid, self.age, STATES.index(state), load, limit, waiting)
        self.board.write(self._row, values)

    def others(self) -> list[WorkerState]:
        """Return the other workers."""
        return [worker for worker in self.board.workers() if worker.pid != self._pid]

    @property
    def replaced(self) -> bool:
        """Whether a reload replaces this worker."""
        return self.age <= self.board.replaced

    def has_successor(self) -> bool:
        """Return whether a worker that a reload has started is ready, on the same GPU if it can be.

        The engine of another may not start because this one's is still in the memory of its GPU.
        """
        new = [worker for worker in self.board.started() if worker.age > self.board.replaced]
        gpu = self.board.gpu_of(self._row)
        return any(
            worker.state in SERVING
            for worker in [worker for worker in new if worker.gpu == gpu] or new
        )
