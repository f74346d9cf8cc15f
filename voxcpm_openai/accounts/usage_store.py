"""The usage by key, model and hour: a table in the data folder that all workers write.

A rollback journal and no WAL: instances on several machines may share a data folder.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from voxcpm_openai.files import FileRefused

FILE = "usage.sqlite"
HOUR = 3600
KEPT_DAYS = 400
"""How long usage is kept."""
BUSY = 2.0
"""Seconds to wait for another process that writes."""
FAULTS = (OSError, sqlite3.Error)
"""What reading and writing raise: a full disk, a locked or broken file."""

_TABLE = """CREATE TABLE IF NOT EXISTS usage (
    hour INTEGER, key TEXT, model TEXT, requests INTEGER NOT NULL, characters INTEGER NOT NULL,
    PRIMARY KEY (hour, key, model)) WITHOUT ROWID"""
_ADD = """INSERT INTO usage VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    requests = requests + excluded.requests, characters = characters + excluded.characters"""


@dataclass(frozen=True, slots=True)
class Slot:
    """What usage is added up by: the hour (Unix seconds of its start), the key's id, the model."""

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
    """Reads and writes the table; it and its folder are created by the first write."""

    def __init__(self, root: Path) -> None:
        """``root``: the data folder."""
        self.path = root / FILE

    def add(self, usage: Mapping[Slot, Amounts]) -> None:
        """Add usage, all or none of it; forget what is too old.  Raises ``FAULTS``."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._require_plain(os.O_CREAT)
        rows = [(s.hour, s.key, s.model, a.requests, a.characters) for s, a in usage.items()]
        with self._opened() as table:
            table.execute(_TABLE)
            table.executemany(_ADD, rows)
            oldest = int(time.time()) - KEPT_DAYS * 24 * HOUR
            table.execute("DELETE FROM usage WHERE hour < ?", (oldest,))

    def read(self, start: int, end: int) -> Iterable[tuple[Slot, Amounts]]:
        """Return the usage of the hours from ``start`` to before ``end``.  Raises ``FAULTS``."""
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
        """Raise OSError unless the file is one: no link is followed.  Nobody else may read it."""
        flags |= os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileRefused(f"{self.path} is not a file. Delete it.")
        finally:
            os.close(descriptor)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Open the table for one transaction."""
        with closing(sqlite3.connect(self.path, timeout=BUSY)) as table, table:
            yield table
