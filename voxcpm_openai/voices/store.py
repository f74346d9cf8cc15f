"""The voices that people have added, kept under the data folder."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import secrets
import time

from voxcpm_openai.contracts import Voice
from voxcpm_openai.errors import InvalidRequest, UnknownVoice
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.data import Data, StoredVoice
from voxcpm_openai.voices.owners import commands, sees

logger = logging.getLogger(__name__)

LICENCE = "private"
"""What is shown for a voice that somebody has added: theirs to give, not ours."""


class Store:
    """Added voices: all workers and the command line see the same ones, at once.

    ``viewer`` is who asks (see ``owners``); names and texts come checked (see ``names``).
    """

    def __init__(self, data: Data, settings: Settings) -> None:
        self._data = data
        self._limit = settings.max_voices
        self._latents = settings.cache_folder / "prompts"

    def voices(self) -> list[Voice]:
        """Return everybody's voices, oldest first."""
        return [self._voice(stored) for stored in self._data.voices.all().values()]

    def find(self, id_: str) -> Voice | None:
        """Return a voice, whoever's it is."""
        stored = self._data.voices.all().get(id_)
        return None if stored is None else self._voice(stored)

    def add(
        self,
        name: str,
        clip: bytes,
        *,
        owner: str | None,
        transcript: str | None = None,
        description: str = "",
        language: str = "",
        provenance: str = "a clip that was sent",
        consent: str | None = None,
    ) -> Voice:
        """Add a voice; ``clip`` is FLAC.

        Raises InvalidRequest where there are as many voices as may be (``voices_full``) or the
        owner has no such consent, and Unwritable.
        """
        stored = StoredVoice(
            id=f"voice_{secrets.token_hex(12)}",
            name=name,
            created_at=int(time.time()),
            owner=owner,
            transcript=transcript or None,
            description=description,
            language=language,
            provenance=provenance,
            consent=consent,
        )
        with self._data.writing():
            self._put(stored, clip)
        return self._voice(stored)

    def keep(self, candidate_id: str, viewer: str | None) -> Voice:
        """Make a voice of a candidate.  Raises UnknownVoice, and what ``add`` raises."""
        with self._data.writing():
            candidate = self._data.candidates.scan().get(candidate_id)
            if candidate is None or not commands(viewer, candidate.owner):
                raise UnknownVoice(
                    f"The candidate '{candidate_id}' does not exist. Candidates are kept an hour."
                )
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
            self._put(stored, self._data.candidates.sound(candidate_id).read_bytes())
            self._data.candidates.remove(candidate_id)
        return self._voice(stored)

    def update(
        self,
        id_: str,
        viewer: str | None,
        *,
        name: str | None = None,
        description: str | None = None,
    ) -> Voice:
        """Give a voice another name or description.

        Raises UnknownVoice, InvalidRequest where the voice is not the viewer's, and Unwritable.
        """
        with self._data.writing():
            stored = self._commanded(id_, viewer)
            if name is not None:
                stored = dataclasses.replace(stored, name=name)
            if description is not None:
                stored = dataclasses.replace(stored, description=description)
            self._data.voices.replace(stored)
        return self._voice(stored)

    def remove(self, id_: str, viewer: str | None) -> None:
        """Take a voice away, and all that was made of its clip.  Raises as ``update`` does."""
        with self._data.writing():
            self._commanded(id_, viewer)
            clip = self._data.voices.sound(id_)
            content = clip.read_bytes() if clip.is_file() else b""
            self._data.voices.remove(id_)
        self._forget(content)

    def _put(self, stored: StoredVoice, clip: bytes) -> None:
        if self._data.voices.count() >= self._limit:
            raise InvalidRequest(
                f"There are {self._limit} added voices already, as many as there may be. Delete "
                "one that is not needed; the operator sets the limit: VOXCPM_MAX_VOICES.",
                code="voices_full",
            )
        if stored.consent is not None:
            consent = self._data.consents.scan().get(stored.consent)
            if consent is None or not commands(stored.owner, consent.owner):
                raise InvalidRequest(
                    f"The consent '{stored.consent}' does not exist. Send its recording to "
                    "POST /v1/audio/voice_consents first.",
                    param="consent",
                )
        self._data.voices.put(stored, clip)

    def _commanded(self, id_: str, viewer: str | None) -> StoredVoice:
        stored = self._data.voices.scan().get(id_)
        if stored is None or not sees(viewer, stored.owner):
            raise UnknownVoice(f"The voice '{id_}' does not exist.")
        if not commands(viewer, stored.owner):
            raise InvalidRequest(
                f"The voice '{id_}' is the operator's, and only the operator can change it.",
                param="voice",
            )
        return stored

    def _voice(self, stored: StoredVoice) -> Voice:
        return Voice(
            id=stored.id,
            name=stored.name,
            audio=self._data.voices.sound(stored.id),
            transcript=stored.transcript,
            description=stored.description,
            language=stored.language,
            licence=LICENCE,
            provenance=stored.provenance,
            owner=stored.owner,
            created_at=stored.created_at,
        )

    def _forget(self, content: bytes) -> None:
        """Delete what the runtime has kept of a clip: files that begin with its SHA-256."""
        for path in self._latents.glob(f"{hashlib.sha256(content).hexdigest()}*"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s outlives its voice: %s", path, error.strerror)
