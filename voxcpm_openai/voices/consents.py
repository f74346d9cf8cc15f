"""The consents: recordings in which somebody allows that their voice is used."""

from __future__ import annotations

import dataclasses
import secrets
import time

from voxcpm_openai.errors import InvalidRequest, UnknownConsent
from voxcpm_openai.voices.data import Consent, Data
from voxcpm_openai.voices.owners import commands


class Consents:
    """The consents of the data folder.  Each viewer sees their own alone; the operator sees all."""

    def __init__(self, data: Data) -> None:
        self._data = data

    def all(self, viewer: str | None) -> list[Consent]:
        """Return a viewer's consents, oldest first."""
        return [c for c in self._data.consents.all().values() if commands(viewer, c.owner)]

    def get(self, id_: str, viewer: str | None) -> Consent:
        """Return a consent.  Raises UnknownConsent."""
        return self._own(self._data.consents.all().get(id_), id_, viewer)

    def add(self, name: str, recording: bytes, *, owner: str | None, language: str) -> Consent:
        """Add a consent; ``recording`` is FLAC.  Raises Unwritable."""
        consent = Consent(
            id=f"cons_{secrets.token_hex(12)}",
            name=name,
            created_at=int(time.time()),
            owner=owner,
            language=language,
        )
        with self._data.writing():
            self._data.consents.put(consent, recording)
        return consent

    def rename(self, id_: str, viewer: str | None, name: str) -> Consent:
        """Give a consent another name.  Raises UnknownConsent and Unwritable."""
        with self._data.writing():
            consent = self._own(self._data.consents.scan().get(id_), id_, viewer)
            consent = dataclasses.replace(consent, name=name)
            self._data.consents.replace(consent)
        return consent

    def remove(self, id_: str, viewer: str | None) -> None:
        """Take a consent away.

        Raises UnknownConsent, Unwritable, and InvalidRequest (``consent_in_use``) where voices
        rest on it: no voice may be left without its consent.
        """
        with self._data.writing():
            self._own(self._data.consents.scan().get(id_), id_, viewer)
            resting = [v for v in self._data.voices.scan().values() if v.consent == id_]
            if resting:
                voices = ", ".join(f"'{voice.name}' ({voice.id})" for voice in resting)
                raise InvalidRequest(
                    f"These voices rest on the consent '{id_}': {voices}. Delete them first.",
                    param="consent",
                    code="consent_in_use",
                )
            self._data.consents.remove(id_)

    def _own(self, consent: Consent | None, id_: str, viewer: str | None) -> Consent:
        if consent is None or not commands(viewer, consent.owner):
            raise UnknownConsent(f"The consent '{id_}' does not exist.")
        return consent
