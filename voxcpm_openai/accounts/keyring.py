"""The keyring: all API keys, of the setting and of the file, which is read anew when it changes."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from stat import S_IROTH

from voxcpm_openai.accounts.key_file import read_keys
from voxcpm_openai.accounts.keys import ApiKey, digest_of_bytes, unnamed
from voxcpm_openai.errors import SettingsError
from voxcpm_openai.settings import Settings

logger = logging.getLogger(__name__)

RECHECK = 1.0
"""Seconds after which the file is looked at again."""

Version = tuple[int, ...]


class Keyring:
    """Finds API keys.  A file that becomes wrong keeps the keys of before, and the log says so."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError if the file is wrong."""
        self.required = settings.keyed
        """Whether clients need a key; also if all of them are gone."""
        self._path = settings.api_keys_file
        self._fixed = {key.digest: key for key in map(unnamed, settings.api_keys)}
        self._keys = self._fixed
        self._by_id = {key.id: key for key in self._fixed.values()}
        self._version: Version | None = None
        self._looked = 0.0
        self._lock = threading.Lock()
        if self._path is not None:
            self._version = _version(self._path)
            self._take(read_keys(self._path))
            for warning in warnings(self._path):
                logger.warning("%s", warning)
            self._looked = time.monotonic()

    def find(self, sent: bytes) -> ApiKey | None:
        """Return the key that a client sends, or None if there is no such key.

        Keys are found by their hash, so that the time does not tell which one was close.
        """
        self._refresh()
        return self._keys.get(digest_of_bytes(sent))

    def get(self, id_: str) -> ApiKey | None:
        """Return the key of an id as it is now, or None if it has been removed."""
        self._refresh()
        return self._by_id.get(id_)

    def named(self, name: str) -> ApiKey | None:
        """Return the key of a name, or None."""
        return next((key for key in self._by_id.values() if key.name == name), None)

    def _refresh(self) -> None:
        path, now = self._path, time.monotonic()
        if path is None or now < self._looked + RECHECK:
            return
        with self._lock:
            if now < self._looked + RECHECK:  # another thread has looked
                return
            self._looked = now
            version = _version(path)
            if version == self._version:
                return
            self._version = version
            try:
                self._take(read_keys(path))
            except SettingsError as error:
                logger.error("the API keys stay as they were: %s", error)  # noqa: TRY400
                return
            logger.info("%d API keys were read from %s", len(self._keys), path)
            for warning in warnings(path):
                logger.warning("%s", warning)

    def _take(self, keys: tuple[ApiKey, ...]) -> None:
        found = self._fixed | {key.digest: key for key in keys}
        self._keys, self._by_id = found, {key.id: key for key in found.values()}


def warnings(path: Path) -> list[str]:
    """List what is not as it should be with a file that can be read."""
    try:
        open_to_all = path.stat().st_mode & S_IROTH
    except OSError:
        return []
    if not open_to_all:
        return []
    return [f"every user of this machine can read the API keys in {path}: chmod o-r {path}"]


def _version(path: Path) -> Version | None:
    """Return what changes when a file is written or replaced; None if it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
