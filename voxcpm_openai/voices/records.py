"""Records on disk: one folder each, with a JSON file and a sound, there whole or not at all.

    <folder>/<id>/voice.json  clip.flac
    <folder>/.aside-<random>             what is being made, or is on its way out

All that changes the folder is one rename in or out of it, so that a kill at any moment leaves the
old state or the new one; and so its mtime tells other processes that they must look again.  Who
writes holds the lock of ``data.Data``: what lies aside while nobody holds it is a dead writer's.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

ASIDE = ".aside-"

SETTLED = 2_000_000_000
"""Nanoseconds.  A file system may give two changes that follow closely the same mtime; a listing
made sooner than this after the last change is not trusted for longer than one look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every record holds.  ``created_at``: Unix time; ``owner``: see ``owners``."""

    id: str
    name: str
    created_at: int
    owner: str | None = None


Item = TypeVar("Item", bound=Record)


@dataclass(frozen=True, slots=True)
class _Listing(Generic[Item]):
    stamp: tuple[int, int]
    settled: bool
    items: Mapping[str, Item]


class Records(Generic[Item]):
    """The records of one kind.  Reading needs no lock; ``put`` and what follows it do."""

    def __init__(self, folder: Path, kind: type[Item], *, file: str, sound: str) -> None:
        """``file`` and ``sound`` are the names of a record's two files."""
        self.folder = folder
        self._kind = kind
        self._file = file
        self._sound = sound
        self._listing: _Listing[Item] | None = None

    def all(self) -> Mapping[str, Item]:
        """Return the records by id, oldest first; what other processes changed is seen at once."""
        try:
            stat = self.folder.stat()
            stamp = (stat.st_ino, stat.st_mtime_ns)
            listing = self._listing
            if listing is None or not listing.settled or listing.stamp != stamp:
                settled = time.time_ns() - stat.st_mtime_ns > SETTLED
                items, whole = self._scan()
                listing = self._listing = _Listing(stamp, settled and whole, items)
        except FileNotFoundError:  # made with the first record
            return {}
        except OSError as error:  # what is built in can be used all the same
            logger.warning("%s cannot be read: %s", self.folder, error.strerror)
            return {}
        return listing.items

    def scan(self) -> dict[str, Item]:
        """Read the records from disk, oldest first.  A broken one is left out, and told."""
        return self._scan()[0]

    def count(self) -> int:
        """Return how many records there are, broken ones too."""
        return sum(1 for _ in self._ids())

    def sound(self, id_: str) -> Path:
        """Return the sound of a record that there is."""
        return self.folder / id_ / self._sound

    # By whoever holds the lock

    def put(self, item: Item, sound: bytes) -> None:
        """Add a record.  Raises OSError, and then nothing is added."""
        aside = self._aside()
        try:
            aside.mkdir(parents=True)
            _write(aside / self._sound, sound)
            _write(aside / self._file, _json(item))
            _sync(aside)
            aside.rename(self.folder / item.id)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        _sync(self.folder)

    def replace(self, item: Item) -> None:
        """Give a record new values, or raise OSError, and then the old ones stay."""
        aside = self._aside()
        try:
            _write(aside, _json(item))
            aside.replace(self.folder / item.id / self._file)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        _sync(self.folder / item.id)

    def remove(self, id_: str) -> None:
        """Take a record away.  Raises OSError."""
        aside = self._aside()
        (self.folder / id_).rename(aside)
        _sync(self.folder)
        shutil.rmtree(aside, ignore_errors=True)

    def sweep(self) -> None:
        """Take away what dead writers left aside."""
        for path in self.folder.glob(f"{ASIDE}*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _scan(self) -> tuple[dict[str, Item], bool]:
        """Return the records, and whether all could be read (too many files may be open)."""
        found: list[Item] = []
        whole = True
        for id_ in self._ids():
            path = self.folder / id_ / self._file
            try:
                item = self._kind(**json.loads(path.read_bytes()))
            except FileNotFoundError:  # taken away meanwhile
                continue
            except (OSError, ValueError, TypeError) as error:
                logger.warning("%s is not read: %s", path, error)
                whole = whole and not isinstance(error, OSError)
                continue
            if item.id == id_:
                found.append(item)
        found.sort(key=lambda item: (item.created_at, item.id))
        return {item.id: item for item in found}, whole

    def _aside(self) -> Path:
        return self.folder / f"{ASIDE}{secrets.token_hex(8)}"

    def _ids(self) -> Iterator[str]:
        try:
            with os.scandir(self.folder) as entries:
                yield from [entry.name for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            return


def _json(item: Record) -> bytes:
    table = dataclasses.asdict(item)
    return (json.dumps(table, ensure_ascii=False, indent=1) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Bring a folder's entries to the disk: a rename that is told must outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
