"""The data folder: voices, consents, candidates, dictionaries, and the lock for writing them.

voices/<id>/       voice.json    clip.flac         added voices
consents/<id>/     consent.json  recording.flac    consents, to which voices refer
candidates/<id>/   voice.json    clip.flac         designed voices that are not kept yet
dictionaries/<id>/ dictionary.json  rules.json     pronunciation dictionaries
lock               held during every write
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from voxcpm_openai.errors import StorageUnwritable
from voxcpm_openai.files import FileRefused
from voxcpm_openai.voices.store.records import Record, RecordFolder

logger = logging.getLogger(__name__)

CANDIDATE_SECONDS = 3600
"""How long a candidate is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVoice(Record):
    """An added voice.  ``consent``: the id of the consent to its use."""

    transcript: str | None = None
    description: str = ""
    language: str = ""
    provenance: str = ""
    consent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(Record):
    """A recording in which a speaker allows the use of their voice."""

    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Record):
    """A designed voice: its seed, and the transcript of its clip."""

    seed: int
    description: str
    language: str
    transcript: str
    provenance: str

    @property
    def fresh(self) -> bool:
        """Whether it has not expired."""
        return time.time() - self.created_at < CANDIDATE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary(Record):
    """A pronunciation dictionary.  ``rules``: the number of its rules."""

    description: str
    rules: int


class DataFolder:
    """The records under one folder, which is created by the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.voices = RecordFolder(
            root / "voices", StoredVoice, file="voice.json", content="clip.flac"
        )
        self.consents = RecordFolder(
            root / "consents", Consent, file="consent.json", content="recording.flac"
        )
        self.candidates = RecordFolder(
            root / "candidates", Candidate, file="voice.json", content="clip.flac"
        )

        self.dictionaries = RecordFolder(
            root / "dictionaries", Dictionary, file="dictionary.json", content="rules.json"
        )

    def writing(self) -> WriteLock:
        """Return the lock, to be held in a ``with`` block.  It is not reentrant.

        An OSError in the block is raised as StorageUnwritable.
        """
        return WriteLock(self)

    def sweep(self) -> None:
        """Delete what killed writers left, and expired candidates."""
        if self.root.is_dir():
            with self.writing():
                pass


class WriteLock(AbstractContextManager["WriteLock"]):
    """The lock of a data folder, between threads and processes.  A killed process releases it."""

    def __init__(self, data: DataFolder) -> None:
        self._data = data

    def __enter__(self) -> WriteLock:
        """Wait for the lock, then clean up.  Raises StorageUnwritable."""
        try:
            self._data.root.mkdir(mode=0o700, parents=True, exist_ok=True)  # voices are private
            self._file = _opened(self._data.root / "lock")
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            # flock belongs to the open file, not the process: threads exclude each other too.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._clean_up()
        except OSError as error:
            self._file.close()
            raise self._unwritable(error) from error
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._file.close()
        if isinstance(error, OSError):
            raise self._unwritable(error) from error

    def _clean_up(self) -> None:
        data = self._data
        for records in (data.voices, data.consents, data.candidates, data.dictionaries):
            records.sweep()
        for candidate in data.candidates.scan().values():
            if not candidate.fresh:
                data.candidates.remove(candidate.id)

    def _unwritable(self, error: OSError) -> StorageUnwritable:
        """Log the error with the path, and return one for the client without it."""
        why = error.strerror or "a file in it is not what it should be"
        logger.error("the data folder %s cannot be written: %s", self._data.root, error)
        return StorageUnwritable(
            f"Nothing can be stored: the server's data folder cannot be written ({why}). "
            "The operator can set another one: VOXCPM_DATA_DIR."
        )


def _opened(path: Path) -> BinaryIO:
    """Open a lock file, which is created if needed.  Raises OSError for a link or a pipe."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    file = os.fdopen(descriptor, "ab")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise FileRefused(f"{path} is not a file. Delete it.")
    return file
