"""Usage by key, model and hour: an SQLite table in the data folder that all workers write.

It has a rollback journal, not WAL: servers on several machines may share a data folder.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from voxcpm_openai.files import require_regular

FILE = "usage.sqlite"
HOUR = 3600
RETENTION_DAYS = 400
"""Older usage is deleted."""
BUSY_TIMEOUT = 2.0
"""Seconds to wait for the lock of another process."""
STORE_ERRORS = (OSError, sqlite3.Error)
"""Raised by reading and writing: a full disk, a locked or broken file."""

_TABLE = """CREATE TABLE IF NOT EXISTS usage (
    hour INTEGER, key TEXT, model TEXT, requests INTEGER NOT NULL, characters INTEGER NOT NULL,
    PRIMARY KEY (hour, key, model)) WITHOUT ROWID"""
_ADD = """INSERT INTO usage VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    requests = requests + excluded.requests, characters = characters + excluded.characters"""


@dataclass(frozen=True, slots=True)
class Slot:
    """The key of aggregation: hour (Unix seconds of its start), id of the API key, model."""

    hour: int
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """Requests and characters."""

    requests: int = 0
    characters: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(self.requests + other.requests, self.characters + other.characters)


class UsageStore:
    """Reads and writes the table.  The first write creates it and its folder."""

    def __init__(self, root: Path) -> None:
        """``root``: the data folder."""
        self.path = root / FILE

    def add(self, usage: Mapping[Slot, Amounts]) -> None:
        """Add usage in one transaction; delete what is too old.  Raises ``STORE_ERRORS``."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._require_plain(os.O_CREAT)
        rows = [(s.hour, s.key, s.model, a.requests, a.characters) for s, a in usage.items()]
        with self._opened() as table:
            table.execute(_TABLE)
            table.executemany(_ADD, rows)
            oldest = int(time.time()) - RETENTION_DAYS * 24 * HOUR
            table.execute("DELETE FROM usage WHERE hour < ?", (oldest,))

    def read(self, start: int, end: int) -> Iterable[tuple[Slot, Amounts]]:
        """Return the usage of the hours in [``start``, ``end``).  Raises ``STORE_ERRORS``."""
        try:
            self._require_plain()
        except FileNotFoundError:
            return []
        query = "SELECT * FROM usage WHERE hour >= ? AND hour < ?"
        with self._opened() as table:
            table.execute(_TABLE)
            rows = table.execute(query, (start, end)).fetchall()
        return [(Slot(*row[:3]), Amounts(*row[3:])) for row in rows]

    def _require_plain(self, flags: int = 0) -> None:
        """Raise OSError unless the path is a regular file.  A new one has mode 0600."""
        flags |= os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            require_regular(self.path, os.fstat(descriptor))
        finally:
            os.close(descriptor)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Open the table for one transaction."""
        with closing(sqlite3.connect(self.path, timeout=BUSY_TIMEOUT)) as table, table:
            yield table
