"""The files of cached speech: a folder that all workers share, with a limit on its bytes.

Each entry is a file, written atomically.  A corrupt one is deleted when it is read.  The least
recently used entries are evicted first.
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
"""Bytes of one read."""
PAGE = 4096
"""Disk usage of a file is a multiple of this, in bytes."""
FULL = 0.9
"""The part of the limit that eviction leaves in use; the workers divide the rest."""
STALE = 3600.0
"""Age in seconds from which an unfinished file is taken for that of a killed worker."""
LARGEST = 0.25
"""The part of the limit that one entry may take."""


class CorruptEntry(ValueError):
    """A file is not a complete entry."""


class Stored:
    """A ``Source``: an open entry, which stays readable after its eviction."""

    progress = 1.0
    complete = True
    hit = True

    def __init__(self, file: BinaryIO) -> None:
        """Verify the checksum of the entry.  Raises CorruptEntry, OSError."""
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise CorruptEntry("it is not a regular file")
        self._file = file
        head = file.readline(MAX_HEAD)
        if not head.startswith(MAGIC):
            raise CorruptEntry("its header is missing")
        try:
            seconds, size, checksum = json.loads(head.removeprefix(MAGIC))
            self.seconds = float(seconds)
        except (ValueError, TypeError) as error:
            raise CorruptEntry(f"its header is malformed: {error}") from error
        found, total = 0, 0
        for block in iter(lambda: file.read(BLOCK), b""):
            found, total = zlib.crc32(block, found), total + len(block)
        if (total, found) != (size, checksum):
            raise CorruptEntry("its length or checksum is wrong")
        file.seek(len(head))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(BLOCK) if not self._file.closed else b""
        if not block:
            raise StopIteration
        return block

    def cancel(self) -> None:
        """Do nothing: reads do not block."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SpeechStore:
    """The entries of a folder.  Errors of the disk are logged, once until it works again."""

    def __init__(self, folder: Path, limit: int, workers: int = 1) -> None:
        """``limit``: of all entries, in bytes; ``workers``: the processes that write."""
        self.folder = folder
        self.max_entry = int(limit * LARGEST)
        self._limit = int(limit * FULL)
        # After a reload, the old workers write for a while beside the new ones.
        self._share = int(limit * (1 - FULL) / (2 * workers))
        self._budget = 0  # bytes that may be written before the next eviction
        self._lock = threading.Lock()
        self._failing = False

    def get(self, name: str) -> Stored | None:
        """Return an entry and mark it as used, or return None."""
        path = self._path(name)
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError:
            return None
        try:
            stored = Stored(file)
        except (CorruptEntry, OSError) as error:
            file.close()
            logger.warning("the cached speech %s is deleted: %s", path, error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):  # a folder that cannot be written
            os.utime(path)
        return stored

    def put(self, name: str, chunks: Sequence[bytes], seconds: float) -> bool:
        """Store an entry; return whether it was stored."""
        checksum, size = 0, 0
        for chunk in chunks:
            checksum, size = zlib.crc32(chunk, checksum), size + len(chunk)
        if size > self.max_entry:
            return False
        head = MAGIC + json.dumps([round(seconds, 3), size, checksum]).encode() + b"\n"
        try:
            self._put(self._path(name), head, chunks, on_disk(len(head) + size))
        except OSError as error:
            if not self._failing:
                logger.warning("speech cannot be cached in %s: %s", self.folder, error.strerror)
            self._failing = True
            return False
        self._failing = False
        return True

    def _put(self, path: Path, head: bytes, chunks: Sequence[bytes], size: int) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # voices are private
        partial = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            with partial.open("xb") as file:
                file.write(head)
                file.writelines(chunks)
            with self._lock:
                if size <= self._budget:
                    self._budget -= size
                    partial.replace(path)
                else:
                    with self._locked():
                        self._evict(size)
                        partial.replace(path)
                    self._budget = self._share
        finally:
            partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the folder: one worker at a time evicts."""
        with (self.folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _evict(self, size: int) -> None:
        """Delete stale unfinished files, and the least recently used entries until it fits."""
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
    """Return the disk usage of a file of this size, in bytes."""
    return -(-size // PAGE) * PAGE
