"""Added voices, stored under the data folder."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import secrets
import time

from voxcpm_openai.contracts import Voice
from voxcpm_openai.errors import InvalidRequest, UnknownVoice
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.store.data_folder import DataFolder, StoredVoice
from voxcpm_openai.voices.store.records import Item, RecordFolder

logger = logging.getLogger(__name__)

LICENSE = "private"
"""The license shown for added voices: only their owner can grant one."""


class VoiceStore:
    """Added voices.  All workers and the command line see the same ones at any time.

    Names and other texts must be validated before (``voices.validation``).
    """

    def __init__(self, data: DataFolder, settings: Settings) -> None:
        self._data = data
        self._limit = settings.max_voices
        self._cached = [settings.cache_folder / name for name in ("prompts", "speech")]

    def voices(self, principal: Principal = ANONYMOUS) -> list[Voice]:
        """Return the voices that the principal can view, oldest first."""
        records = self._data.voices.all().values()
        return [self._voice(stored) for stored in records if principal.can_view(stored.owner)]

    def find(self, id_: str, principal: Principal = ANONYMOUS) -> Voice | None:
        """Return a voice, or None if there is none that the principal can view."""
        stored = self._data.voices.all().get(id_)
        if stored is None or not principal.can_view(stored.owner):
            return None
        return self._voice(stored)

    def add(
        self,
        name: str,
        clip: bytes,
        *,
        principal: Principal = ANONYMOUS,
        transcript: str | None = None,
        description: str = "",
        language: str = "",
        provenance: str = "an uploaded clip",
        consent: str | None = None,
    ) -> Voice:
        """Add a voice; ``clip`` is FLAC.

        Raises InvalidRequest if the limit on voices is reached (``voices_full``) or the principal
        has no such consent, Unauthorized and StorageUnwritable.
        """
        stored = StoredVoice(
            id=f"voice_{secrets.token_hex(12)}",
            name=name,
            created_at=int(time.time()),
            owner=principal.owner,
            transcript=transcript or None,
            description=description,
            language=language,
            provenance=provenance,
            consent=consent,
        )
        with self._data.writing():
            self._put(stored, clip, principal)
        return self._voice(stored)

    def keep(self, candidate_id: str, principal: Principal = ANONYMOUS) -> Voice:
        """Make a candidate a voice.  Raises UnknownVoice, and what ``add`` raises."""
        with self._data.writing():
            candidate = self._data.candidates.scan().get(candidate_id)
            if candidate is None or not principal.can_modify(candidate.owner):
                raise UnknownVoice(
                    f"The candidate '{candidate_id}' does not exist. Candidates are kept an hour."
                )
            clip = _read(self._data.candidates, candidate_id)
            if not clip:
                raise UnknownVoice(f"The candidate '{candidate_id}' has no clip. Design it again.")
            stored = StoredVoice(
                id=f"voice_{secrets.token_hex(12)}",
                name=candidate.name,
                created_at=int(time.time()),
                owner=candidate.owner,
                transcript=candidate.transcript,
                description=candidate.description,
                language=candidate.language,
                provenance=candidate.provenance,
            )
            self._put(stored, clip, principal)
            self._data.candidates.remove(candidate_id)
        return self._voice(stored)

    def update(
        self,
        id_: str,
        principal: Principal = ANONYMOUS,
        *,
        name: str | None = None,
        description: str | None = None,
    ) -> Voice:
        """Change the name or the description of a voice.

        Raises UnknownVoice, InvalidRequest if the principal may not modify the voice, and
        StorageUnwritable.
        """
        with self._data.writing():
            stored = self._modifiable(id_, principal)
            if name is not None:
                stored = dataclasses.replace(stored, name=name)
            if description is not None:
                stored = dataclasses.replace(stored, description=description)
            self._data.voices.replace(stored)
        return self._voice(stored)

    def remove(self, id_: str, principal: Principal = ANONYMOUS) -> None:
        """Delete a voice and all that was made from its clip.  Raises as ``update`` does."""
        with self._data.writing():
            self._modifiable(id_, principal)
            content = _read(self._data.voices, id_)
            self._data.voices.remove(id_)
        self._forget(content)

    def _put(self, stored: StoredVoice, clip: bytes, principal: Principal) -> None:
        if self._data.voices.count() >= self._limit:
            raise InvalidRequest(
                f"The limit of {self._limit} added voices is reached. Delete one that is not "
                "needed; the operator sets the limit: VOXCPM_MAX_VOICES.",
                code="voices_full",
            )
        if stored.consent is not None:
            consent = self._data.consents.scan().get(stored.consent)
            if consent is None or not principal.can_modify(consent.owner):
                raise InvalidRequest(
                    f"The consent '{stored.consent}' does not exist. Send its recording to "
                    "POST /v1/audio/voice_consents first.",
                    param="consent",
                )
        self._data.voices.put(stored, clip)

    def _modifiable(self, id_: str, principal: Principal) -> StoredVoice:
        stored = self._data.voices.scan().get(id_)
        if stored is None or not principal.can_view(stored.owner):
            raise UnknownVoice(f"The voice '{id_}' does not exist.")
        if not principal.can_modify(stored.owner):
            raise InvalidRequest(
                f"The voice '{id_}' belongs to the operator; only the operator can change it.",
                param="voice",
            )
        return stored

    def _voice(self, stored: StoredVoice) -> Voice:
        return Voice(
            id=stored.id,
            name=stored.name,
            audio=self._data.voices.content(stored.id),
            transcript=stored.transcript,
            description=stored.description,
            language=stored.language,
            license=LICENSE,
            provenance=stored.provenance,
            owner=stored.owner,
            created_at=stored.created_at,
        )

    def _forget(self, content: bytes) -> None:
        """Delete what is cached of a clip, latents and speech: files named by its SHA-256."""
        name = hashlib.sha256(content).hexdigest()
        for path in (path for folder in self._cached for path in folder.glob(f"{name}*")):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s of a deleted voice cannot be deleted: %s", path, error.strerror)


def _read(records: RecordFolder[Item], id_: str) -> bytes:
    """Return the clip of a record; nothing if it cannot be read."""
    try:
        return records.read(id_)
    except OSError as error:
        logger.warning("a clip cannot be read: %s", error)
        return b""
