"""Candidates: designed voices that are kept for an hour, until one is made a voice."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from voxcpm_openai.contracts import Utterance
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.store.data_folder import Candidate, DataFolder


@dataclass(frozen=True, slots=True)
class Design:
    """A voice to be designed: its name, its description, and the language of its previews."""

    name: str
    description: str
    language: str = ""


class CandidateStore:
    """The candidates in the data folder."""

    def __init__(self, data: DataFolder) -> None:
        self._data = data

    def add(
        self,
        design: Design,
        clips: Sequence[tuple[Utterance, Clip]],
        principal: Principal = ANONYMOUS,
    ) -> list[Candidate]:
        """Store what was synthesized for a design.  Raises Unauthorized, StorageUnwritable."""
        owner = principal.owner
        candidates: list[Candidate] = []
        with self._data.writing():
            for utterance, clip in clips:
                assert utterance.seed is not None
                candidate = Candidate(
                    id=f"cand_{secrets.token_hex(12)}",
                    name=design.name,
                    created_at=int(time.time()),
                    owner=owner,
                    seed=utterance.seed,
                    description=design.description,
                    language=design.language,
                    transcript=" ".join(segment.text for segment in utterance.segments),
                    provenance=f"designed from its description, seed {utterance.seed}",
                )
                self._data.candidates.put(candidate, clip.flac())
                candidates.append(candidate)
        return candidates

    def clip(self, id_: str, principal: Principal = ANONYMOUS) -> bytes | None:
        """Return a candidate's audio as FLAC; None if the principal has no such candidate."""
        candidate = self._data.candidates.all().get(id_)
        if candidate is None or not candidate.fresh or not principal.can_modify(candidate.owner):
            return None
        try:
            return self._data.candidates.content(id_).read_bytes()
        except FileNotFoundError:  # kept or swept meanwhile
            return None
