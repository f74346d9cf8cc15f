"""The folder in which the workers of a server keep their metrics: one for each start.

Each worker has files of its own, in the format of prometheus_client.  What a worker has counted
stays when it ends, and what it is (streams that run, memory) goes with it.
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
"""The process id in the names of the files for all workers that have ended."""
COUNTED = ("counter", "histogram", "summary")
"""The kinds of files whose values stay."""
PATIENCE = 0.5
"""Seconds that the master waits for those who read."""

_ALIVE = "alive"
_LOCK = "lock"


class MetricsFolder:
    """The folder, for the master process."""

    def __init__(self, root: Path, *, uid: int = -1, gid: int = -1) -> None:
        """Make a folder in ``root`` for a user, and remove those of servers that were killed.

        All processes that this one starts find it in ``PROMETHEUS_MULTIPROC_DIR``.  Raises
        SettingsError if it cannot be made.
        """
        try:
            _sweep(root)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
            (self.path / _LOCK).touch()
            # All processes of the server inherit this handle: it is locked while one of them runs.
            self._alive = (self.path / _ALIVE).open("w")
            fcntl.flock(self._alive, fcntl.LOCK_EX)
            for path in (self.path, *self.path.iterdir()):
                os.chown(path, uid, gid)
        except OSError as error:
            raise SettingsError(
                f"the metrics of the workers need a folder that can be written: {root}: "
                f"{error.strerror}."
            ) from error
        os.environ[VARIABLE] = str(self.path)
        self._ended: set[int] = set()  # workers whose counts are still in files of their own

    def forget(self, pid: int) -> None:
        """Add what a worker that has ended had counted to that of the others before it."""
        self._ended.add(pid)
        try:
            for file in self.path.glob(f"gauge_live*_{pid}.db"):
                file.unlink(missing_ok=True)
            with _locked(self.path, fcntl.LOCK_EX):
                for ended in tuple(self._ended):
                    self._fold(ended)
                    self._ended.discard(ended)
        except OSError as error:
            logger.warning("the metrics of worker %d stay in files of their own: %s", pid, error)

    def remove(self) -> None:
        """Remove it: the server has stopped."""
        if os.environ.get(VARIABLE) == str(self.path):
            del os.environ[VARIABLE]
        self._alive.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def _fold(self, pid: int) -> None:
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
def reading(path: Path) -> Iterator[None]:
    """Keep a folder as it is while its files are read.  Raises OSError."""
    with _locked(path, fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(path: Path, mode: int) -> Iterator[None]:
    """Hold the lock of a folder.  Raises OSError if others do not give it up."""
    with (path / _LOCK).open() as lock:
        end = time.monotonic() + PATIENCE
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
    """Remove the folders of this user's servers of which no process is left."""
    for path in root.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with (path / _ALIVE).open() as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
