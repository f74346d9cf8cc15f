"""The files of cached speech: a folder that all workers share, with a bound on its bytes.

Each entry is a file, which is put there whole.  A broken one is deleted when it is read.  When room
is needed, the entries that were not used for the longest time are deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
import stat
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self

logger = logging.getLogger(__name__)

MAGIC = b"voxcpm-speech 1 "
MAX_HEAD = 200
BLOCK = 64 * 1024
"""Bytes that are read at once."""
PAGE = 4096
"""A file takes a multiple of so many bytes on disk."""
FULL = 0.9
"""The part of the limit that is left when room was made; the workers divide the rest."""
STALE = 3600.0
"""Seconds after which an unfinished file was left by a worker that was killed."""
LARGEST = 0.25
"""The part of the limit that one entry may have."""


class Broken(ValueError):
    """A file is not a whole entry."""


class Stored:
    """An entry that is read, a ``Source``: it stays readable when it is deleted meanwhile."""

    progress = 1.0
    whole = True

    def __init__(self, file: BinaryIO) -> None:
        """Check the entry.  Raises Broken, OSError."""
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Broken("it is no file")
        self._file = file
        head = file.readline(MAX_HEAD)
        if not head.startswith(MAGIC):
            raise Broken("it has another beginning")
        try:
            seconds, size, checksum = json.loads(head.removeprefix(MAGIC))
            self.seconds = float(seconds)
        except (ValueError, TypeError) as error:
            raise Broken(f"its head is wrong: {error}") from error
        found, total = 0, 0
        for block in iter(lambda: file.read(BLOCK), b""):
            found, total = zlib.crc32(block, found), total + len(block)
        if (total, found) != (size, checksum):
            raise Broken("its content has changed")
        file.seek(len(head))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(BLOCK) if not self._file.closed else b""
        if not block:
            raise StopIteration
        return block

    def cancel(self) -> None:
        """Do nothing: to read never waits."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SpeechStore:
    """The entries of a folder.  Errors of the disk are logged, once until it works again."""

    def __init__(self, folder: Path, limit: int, workers: int = 1) -> None:
        """``limit``: in bytes, of all entries; ``workers``: how many processes write."""
        self.folder = folder
        self.largest = int(limit * LARGEST)
        self._limit = int(limit * FULL)
        # After a reload, the old workers write for a while beside the new ones.
        self._share = int(limit * (1 - FULL) / (2 * workers))
        self._left = 0  # what may be written before room is to be made
        self._lock = threading.Lock()
        self._failing = False

    def get(self, name: str) -> Stored | None:
        """Return an entry, or None; it was used last from now on."""
        path = self._path(name)
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError:
            return None
        try:
            stored = Stored(file)
        except (Broken, OSError) as error:
            file.close()
            logger.warning("the cached speech %s is dropped: %s", path, error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):  # a folder that cannot be written
            os.utime(path)
        return stored

    def put(self, name: str, parts: Sequence[bytes], seconds: float) -> bool:
        """Keep an entry; return whether it was kept."""
        checksum, size = 0, 0
        for part in parts:
            checksum, size = zlib.crc32(part, checksum), size + len(part)
        if size > self.largest:
            return False
        head = MAGIC + json.dumps([round(seconds, 3), size, checksum]).encode() + b"\n"
        try:
            self._put(self._path(name), head, parts, on_disk(len(head) + size))
        except OSError as error:
            if not self._failing:
                logger.warning("speech cannot be cached in %s: %s", self.folder, error.strerror)
            self._failing = True
            return False
        self._failing = False
        return True

    def _put(self, path: Path, head: bytes, parts: Sequence[bytes], size: int) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # voices are private
        partial = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            with partial.open("xb") as file:
                file.write(head)
                file.writelines(parts)
            with self._lock:
                if size <= self._left:
                    self._left -= size
                    partial.replace(path)
                else:
                    with self._alone():
                        self._make_room(size)
                        partial.replace(path)
                    self._left = self._share
        finally:
            partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other workers from making room at the same time."""
        with (self.folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _make_room(self, size: int) -> None:
        """Delete the entries that were not used for the longest time, and unfinished ones."""
        found: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    facts = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(".speech"):
                        found.append((facts.st_mtime, on_disk(facts.st_size), entry.path))
                    elif entry.name.endswith(".part") and facts.st_mtime < time.time() - STALE:
                        Path(entry.path).unlink(missing_ok=True)
        total = size + sum(size for _, size, _ in found)
        for _, freed, path in sorted(found):
            if total <= self._limit:
                return
            Path(path).unlink(missing_ok=True)
            total -= freed

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.speech"


def on_disk(size: int) -> int:
    """Return the bytes that a file of this size takes on disk."""
    return -(-size // PAGE) * PAGE
