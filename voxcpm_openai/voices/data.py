"""The data folder: all that people have added, and the lock of those who write.

voices/<id>/       voice.json    clip.flac         voices
consents/<id>/     consent.json  recording.flac    the consents that they rest on
candidates/<id>/   voice.json    clip.flac         designed voices that nobody has kept yet
lock               held while anything of this is written
"""

from __future__ import annotations

import fcntl
import logging
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from voxcpm_openai.errors import Unwritable
from voxcpm_openai.voices.records import Record, Records

logger = logging.getLogger(__name__)

CANDIDATE_SECONDS = 3600
"""How long a candidate is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVoice(Record):
    """A voice that somebody added.  ``consent`` is the id of the consent that it rests on."""

    transcript: str | None = None
    description: str = ""
    language: str = ""
    provenance: str = ""
    consent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(Record):
    """A recording in which somebody allows the use of their voice."""

    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Record):
    """A designed voice that may be kept: its seed, and the words of its clip."""

    seed: int
    description: str
    language: str
    transcript: str
    provenance: str

    @property
    def fresh(self) -> bool:
        """Whether it may still be heard and kept."""
        return time.time() - self.created_at < CANDIDATE_SECONDS


class Data:
    """The records under one folder, which is made when something is written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.voices = Records(root / "voices", StoredVoice, file="voice.json", sound="clip.flac")
        self.consents = Records(
            root / "consents", Consent, file="consent.json", sound="recording.flac"
        )
        self.candidates = Records(
            root / "candidates", Candidate, file="voice.json", sound="clip.flac"
        )

    def writing(self) -> Writing:
        """Wait for the lock and hold it for a ``with`` block.  It cannot be taken twice.

        OSErrors of the block become Unwritable.
        """
        return Writing(self)

    def sweep(self) -> None:
        """Take away what dead writers left, and candidates that nobody kept, if there are any."""
        if self.root.is_dir():
            with self.writing():
                pass


class Writing(AbstractContextManager["Writing"]):
    """The lock of a data folder, for threads and processes alike; a dead process holds none."""

    def __init__(self, data: Data) -> None:
        self._data = data

    def __enter__(self) -> Writing:
        """Take the lock, and tidy up.  Raises Unwritable."""
        try:
            self._data.root.mkdir(mode=0o700, parents=True, exist_ok=True)  # voices are private
            self._file = (self._data.root / "lock").open("ab")
        except OSError as error:
            raise self._told(error) from error
        try:
            # Of this opening of the file alone, so that threads keep each other out, too.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._tidy()
        except OSError as error:
            self._file.close()
            raise self._told(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if isinstance(error, OSError):
            raise self._told(error) from error

    def _tidy(self) -> None:
        data = self._data
        for records in (data.voices, data.consents, data.candidates):
            records.sweep()
        for candidate in data.candidates.scan().values():
            if not candidate.fresh:
                data.candidates.remove(candidate.id)

    def _told(self, error: OSError) -> Unwritable:
        """Tell the operator where, in the log, and whoever asked what is wrong."""
        why = error.strerror or str(error)
        logger.error("the data folder %s cannot be written: %s", self._data.root, why)
        return Unwritable(
            f"Nothing can be kept here: the server's data folder cannot be written ({why}). "
            "The operator can name another one in VOXCPM_DATA_DIR."
        )
