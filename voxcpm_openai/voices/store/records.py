"""Records on disk: one folder each, with a JSON file and a file of content, such as audio.

Writes are atomic.

    <folder>/<id>/voice.json  clip.flac
    <folder>/.tmp-<random>               a record that is being written or removed

Every change is one rename into or out of the folder.  A writer that is killed at any moment leaves
the old state or the new one, and the folder's mtime shows other processes that it has changed.
Writers hold the lock of ``data_folder.DataFolder``, so temporary files that exist while it is
free were left by a killed writer.
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
from typing import Generic, TypeVar, get_type_hints

from voxcpm_openai.files import read_plain_file

logger = logging.getLogger(__name__)

TEMPORARY = ".tmp-"

MAX_BYTES = 64 * 1024
"""The largest JSON file of a record."""
MAX_CONTENT = 16 * 1024 * 1024
"""The largest content: a minute of audio has 6 MB, the longest rules of a dictionary have 4 MB."""

SETTLED = 2_000_000_000
"""Nanoseconds.  A file system may give two changes in quick succession the same mtime, so a listing
that is made sooner than this after the last change is not cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The fields of every record.  ``created_at``: Unix time; ``owner``: see ``principal``."""

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


class RecordFolder(Generic[Item]):
    """The records of one kind.  Reading needs no lock; writing and ``sweep`` need it."""

    def __init__(self, folder: Path, kind: type[Item], *, file: str, content: str) -> None:
        """``file`` and ``content`` are the names of a record's two files."""
        self.folder = folder
        self._kind = kind
        self._types = get_type_hints(kind)
        self._file = file
        self._content = content
        self._listing: _Listing[Item] | None = None

    def all(self) -> Mapping[str, Item]:
        """Return the records by id, oldest first.  Includes changes by other processes."""
        try:
            stat = self.folder.stat()
            stamp = (stat.st_ino, stat.st_mtime_ns)
            listing = self._listing
            if listing is None or not listing.settled or listing.stamp != stamp:
                settled = time.time_ns() - stat.st_mtime_ns > SETTLED
                items, complete = self._scan()
                listing = self._listing = _Listing(stamp, settled and complete, items)
        except FileNotFoundError:  # created with the first record
            return {}
        except OSError as error:  # the built-in voices work without it
            logger.warning("%s cannot be read: %s", self.folder, error.strerror)
            return {}
        return listing.items

    def scan(self) -> dict[str, Item]:
        """Read the records from disk, oldest first.  Broken ones are logged and skipped."""
        return self._scan()[0]

    def count(self) -> int:
        """Return the number of records, broken ones included."""
        return sum(1 for _ in self._ids())

    def content(self, id_: str) -> Path:
        """Return the path of a record's content."""
        return self.folder / id_ / self._content

    def read(self, id_: str) -> bytes:
        """Return a record's content.  Raises OSError, also if it is not a regular file."""
        return read_plain_file(self.content(id_), MAX_CONTENT)

    # The methods below need the lock.

    def put(self, item: Item, content: bytes) -> None:
        """Add a record.  If this raises OSError, nothing is added."""
        temporary = self._temporary()
        try:
            temporary.mkdir(parents=True)
            _write(temporary / self._content, content)
            _write(temporary / self._file, _json(item))
            _sync(temporary)
            temporary.rename(self.folder / item.id)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync(self.folder)

    def replace(self, item: Item) -> None:
        """Replace the values of a record.  If this raises OSError, the old ones stay."""
        temporary = self._temporary()
        try:
            _write(temporary, _json(item))
            temporary.replace(self.folder / item.id / self._file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync(self.folder / item.id)

    def remove(self, id_: str) -> None:
        """Delete a record.  Raises OSError."""
        temporary = self._temporary()
        (self.folder / id_).rename(temporary)
        _sync(self.folder)
        shutil.rmtree(temporary, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what killed writers left."""
        for path in self.folder.glob(f"{TEMPORARY}*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _scan(self) -> tuple[dict[str, Item], bool]:
        """Return the records, and whether all files could be read (too many may be open)."""
        found: list[Item] = []
        complete = True
        for id_ in self._ids():
            path = self.folder / id_ / self._file
            try:
                item = self._made(read_plain_file(path, MAX_BYTES))
            except FileNotFoundError:  # deleted meanwhile
                continue
            except (OSError, ValueError, TypeError, RecursionError) as error:
                logger.warning("%s cannot be read: %s", path, error)
                complete = complete and not isinstance(error, OSError)
                continue
            if item.id == id_:
                found.append(item)
        found.sort(key=lambda item: (item.created_at, item.id))
        return {item.id: item for item in found}, complete

    def _made(self, content: bytes) -> Item:
        """Return a record from its JSON.  Raises ValueError, TypeError and RecursionError."""
        values = json.loads(content)
        json.dumps(values, ensure_ascii=False).encode()  # no answer could contain a lone surrogate
        for name, value in values.items() if isinstance(values, dict) else ():
            if name in self._types and not isinstance(value, self._types[name]):
                raise TypeError(f"{name} is a {type(value).__name__}")
        return self._kind(**values)

    def _temporary(self) -> Path:
        return self.folder / f"{TEMPORARY}{secrets.token_hex(8)}"

    def _ids(self) -> Iterator[str]:
        try:
            with os.scandir(self.folder) as entries:
                names = [entry.name for entry in entries if self._is_record(entry)]
        except FileNotFoundError:
            return
        yield from names

    def _is_record(self, entry: os.DirEntry[str]) -> bool:
        if entry.name.startswith("."):
            return False
        if entry.is_symlink():
            path = self.folder / entry.name
            logger.warning("%s is a link; it is ignored. Put the folder itself there.", path)
            return False
        return True


def _json(item: Record) -> bytes:
    table = dataclasses.asdict(item)
    return (json.dumps(table, ensure_ascii=False, indent=1) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
