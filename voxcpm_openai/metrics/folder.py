"""The folder of the workers' metrics, for prometheus_client's multiprocess mode: one per start.

Each worker writes its own files.  When a worker ends, its counters and histograms are merged into
one file for all ended workers, and its gauges are removed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voxcpm_openai.errors import SettingsError

logger = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client reads it when it is imported."""
PREFIX = "voxcpm-openai-metrics-"
ENDED = 0
"""The process id in the names of the merged files."""
COUNTED = ("counter", "histogram", "summary")
"""The kinds of files that are merged."""
LOCK_TIMEOUT = 0.5
"""Seconds."""

_ALIVE = "alive"
_LOCK = "lock"


class MetricsFolder:
    """The folder, for the master process."""

    def __init__(self, root: Path, *, uid: int = -1, gid: int = -1) -> None:
        """Create a folder in ``root`` for a user, and remove those of servers that were killed.

        Child processes inherit its path in ``PROMETHEUS_MULTIPROC_DIR``.  Raises SettingsError if
        it cannot be created.
        """
        try:
            _sweep(root)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
            (self.path / _LOCK).touch()
            # All processes of the server inherit this handle and with it the lock.
            self._alive = (self.path / _ALIVE).open("w")
            fcntl.flock(self._alive, fcntl.LOCK_EX)
            for path in (self.path, *self.path.iterdir()):
                os.chown(path, uid, gid)
        except OSError as error:
            raise SettingsError(
                f"the metrics of the workers need a writable folder: {root}: {error.strerror}."
            ) from error
        os.environ[VARIABLE] = str(self.path)
        self._ended: set[int] = set()  # workers whose files are not merged yet

    def mark_process_dead(self, pid: int) -> None:
        """Merge the counters of a worker that has ended, and remove its gauges."""
        self._ended.add(pid)
        try:
            for file in self.path.glob(f"gauge_live*_{pid}.db"):
                file.unlink(missing_ok=True)
            with _locked(self.path, fcntl.LOCK_EX):
                for ended in tuple(self._ended):
                    self._merge(ended)
                    self._ended.discard(ended)
        except OSError as error:
            logger.warning("the metrics of worker %d are not merged yet: %s", pid, error)

    def remove(self) -> None:
        """Remove the folder when the server stops."""
        if os.environ.get(VARIABLE) == str(self.path):
            del os.environ[VARIABLE]
        self._alive.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def _merge(self, pid: int) -> None:
        files = {kind: self.path / f"{kind}_{pid}.db" for kind in COUNTED}
        files = {kind: file for kind, file in files.items() if file.exists()}
        if not files:
            return
        from prometheus_client.mmap_dict import MmapedDict

        for kind, file in files.items():
            ended = MmapedDict(str(self.path / f"{kind}_{ENDED}.db"))
            try:
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
                    ended.write_value(key, ended.read_value(key)[0] + value, 0.0)
            except (struct.error, RuntimeError, ValueError) as error:
                logger.warning("the metrics of worker %d cannot be read: %s", pid, error)
            finally:
                ended.close()
            file.unlink()


def shared_folder() -> Path | None:
    """Return the folder of the server that this process belongs to, or None if it has none."""
    path = os.environ.get(VARIABLE)
    return Path(path) if path and (Path(path) / _LOCK).exists() else None


@contextmanager
def read_lock(path: Path) -> Iterator[None]:
    """Hold the shared lock of a folder while its files are read.  Raises OSError on a timeout."""
    with _locked(path, fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(path: Path, mode: int) -> Iterator[None]:
    """Hold the lock of a folder.  Raises BlockingIOError after ``LOCK_TIMEOUT``."""
    with (path / _LOCK).open() as lock:
        end = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(lock, mode | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        yield


def _sweep(root: Path) -> None:
    """Remove the folders of this user's servers without a live process."""
    for path in root.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with (path / _ALIVE).open() as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
