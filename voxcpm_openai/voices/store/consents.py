"""Consents: recordings in which speakers allow the use of their voice."""

from __future__ import annotations

import dataclasses
import secrets
import time

from voxcpm_openai.errors import InvalidRequest, UnknownConsent
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.store.data_folder import Consent, DataFolder


class ConsentStore:
    """The consents in the data folder.  A principal sees only its own; the operator sees all."""

    def __init__(self, data: DataFolder, settings: Settings) -> None:
        self._data = data
        self._limit = settings.max_consents

    def all(self, principal: Principal = ANONYMOUS) -> list[Consent]:
        """Return the principal's consents, oldest first."""
        return [c for c in self._data.consents.all().values() if principal.can_modify(c.owner)]

    def get(self, id_: str, principal: Principal = ANONYMOUS) -> Consent:
        """Return a consent.  Raises UnknownConsent."""
        return self._own(self._data.consents.all().get(id_), id_, principal)

    def add(
        self, name: str, recording: bytes, *, language: str, principal: Principal = ANONYMOUS
    ) -> Consent:
        """Add a consent; ``recording`` is FLAC.

        Raises InvalidRequest if the limit on consents is reached (``consents_full``), Unauthorized
        and StorageUnwritable.
        """
        consent = Consent(
            id=f"cons_{secrets.token_hex(12)}",
            name=name,
            created_at=int(time.time()),
            owner=principal.owner,
            language=language,
        )
        with self._data.writing():
            if self._data.consents.count() >= self._limit:
                raise InvalidRequest(
                    f"The limit of {self._limit} consents is reached. Delete one that no voice "
                    "uses; the operator sets the limit: VOXCPM_MAX_CONSENTS.",
                    code="consents_full",
                )
            self._data.consents.put(consent, recording)
        return consent

    def rename(self, id_: str, name: str, principal: Principal = ANONYMOUS) -> Consent:
        """Rename a consent.  Raises UnknownConsent, StorageUnwritable."""
        with self._data.writing():
            consent = self._own(self._data.consents.scan().get(id_), id_, principal)
            consent = dataclasses.replace(consent, name=name)
            self._data.consents.replace(consent)
        return consent

    def remove(self, id_: str, principal: Principal = ANONYMOUS) -> None:
        """Delete a consent.

        Raises UnknownConsent, StorageUnwritable, and InvalidRequest (``consent_in_use``) if a
        voice refers to it.
        """
        with self._data.writing():
            self._own(self._data.consents.scan().get(id_), id_, principal)
            in_use = [v for v in self._data.voices.scan().values() if v.consent == id_]
            if in_use:
                voices = ", ".join(f"'{voice.name}' ({voice.id})" for voice in in_use)
                raise InvalidRequest(
                    f"The consent '{id_}' is used by these voices: {voices}. Delete them first.",
                    param="consent",
                    code="consent_in_use",
                )
            self._data.consents.remove(id_)

    def _own(self, consent: Consent | None, id_: str, principal: Principal) -> Consent:
        if consent is None or not principal.can_modify(consent.owner):
            raise UnknownConsent(f"The consent '{id_}' does not exist.")
        return consent
