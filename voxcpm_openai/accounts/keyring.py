"""The keyring: the API keys of the setting and of the file, which is reloaded when it changes."""

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

CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the file has changed."""

Version = tuple[int, ...]


class Keyring:
    """Finds API keys.  If the changed file is invalid, the previous keys stay; this is logged."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError if the file is wrong."""
        self.required = settings.keyed
        """Whether clients need a key."""
        self._path = settings.api_keys_file
        self._fixed = {key.digest: key for key in map(unnamed, settings.api_keys)}
        self._keys = self._fixed
        self._by_id = {key.id: key for key in self._fixed.values()}
        self._version: Version | None = None
        self._next_check = 0.0
        self._lock = threading.Lock()
        if self._path is not None:
            self._version = _version(self._path)
            self._set(read_keys(self._path))  # ``check_accounts`` has logged its warnings
            self._next_check = time.monotonic() + CHECK_INTERVAL

    def find(self, sent: bytes) -> ApiKey | None:
        """Return the key that a client sends, or None if there is no such key.

        The lookup is by hash, so that its duration reveals nothing about the keys.
        """
        self._refresh()
        return self._keys.get(digest_of_bytes(sent))

    def get(self, id_: str) -> ApiKey | None:
        """Return the current key of an id, or None if it has been removed."""
        self._refresh()
        return self._by_id.get(id_)

    def named(self, name: str) -> ApiKey | None:
        """Return the key of a name, or None."""
        return next((key for key in self._by_id.values() if key.name == name), None)

    def _refresh(self) -> None:
        path, now = self._path, time.monotonic()
        if path is None or now < self._next_check:
            return
        with self._lock:
            if now < self._next_check:  # another thread has checked
                return
            self._next_check = now + CHECK_INTERVAL
            version = _version(path)
            if version == self._version:
                return
            self._version = version
            try:
                self._set(read_keys(path))
            except SettingsError as error:
                logger.error("the API keys stay as they were: %s", error)  # noqa: TRY400
                return
            logger.info("%d API keys were read from %s", len(self._keys), path)
            for warning in warnings(path):
                logger.warning("%s", warning)

    def _set(self, keys: tuple[ApiKey, ...]) -> None:
        found = self._fixed | {key.digest: key for key in keys}
        self._keys, self._by_id = found, {key.id: key for key in found.values()}


def warnings(path: Path) -> list[str]:
    """Return the warnings about a file of keys that could be read."""
    try:
        is_public = path.stat().st_mode & S_IROTH
    except OSError:  # it was removed after it was read
        return []
    if not is_public:
        return []
    return [f"every user of this machine can read the API keys in {path}: chmod o-r {path}"]


def _version(path: Path) -> Version | None:
    """Return a value that changes when the file is written or replaced; None without the file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
