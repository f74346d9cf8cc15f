"""Candidates: designed voices that are kept for an hour, until one is made a voice."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from voxcpm_openai.contracts import Utterance
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.store.data_folder import Candidate, DataFolder

logger = logging.getLogger(__name__)

DESIGNED = "designed from its description"
"""The begin of the provenance of a designed voice."""
MAX_CANDIDATES = 60
"""The most candidates of one owner; further ones replace the oldest."""


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
        """Store what was synthesized for a design, in the place of the owner's oldest if needed.

        Raises Unauthorized and StorageUnwritable.
        """
        owner = principal.owner
        candidates: list[Candidate] = []
        with self._data.writing():
            self._make_room(owner, len(clips))
            for utterance, clip in clips:
                assert utterance.seed is not None
                now = time.time_ns()
                candidate = Candidate(
                    # Ids begin with the time: records of one second are listed by id.
                    id=f"cand_{now:016x}{secrets.token_hex(8)}",
                    name=design.name,
                    created_at=now // 1_000_000_000,
                    owner=owner,
                    seed=utterance.seed,
                    description=design.description,
                    language=design.language,
                    transcript=" ".join(segment.text for segment in utterance.segments),
                    provenance=f"{DESIGNED}, seed {utterance.seed}",
                )
                self._data.candidates.put(candidate, clip.flac())
                candidates.append(candidate)
        return candidates

    def _make_room(self, owner: str | None, count: int) -> None:
        """Delete the oldest candidates of an owner, so that ``count`` more can be stored."""
        records = self._data.candidates
        own = [one.id for one in records.scan().values() if one.owner == owner]
        for id_ in own[: max(0, len(own) + count - MAX_CANDIDATES)]:
            records.remove(id_)

    def clip(self, id_: str, principal: Principal = ANONYMOUS) -> bytes | None:
        """Return a candidate's audio as FLAC; None if the principal has no such candidate."""
        candidate = self._data.candidates.all().get(id_)
        if candidate is None or not candidate.fresh or not principal.can_modify(candidate.owner):
            return None
        try:
            return self._data.candidates.read(id_)
        except FileNotFoundError:  # kept or swept meanwhile
            return None
        except OSError as error:
            logger.warning("the clip of a candidate cannot be read: %s", error)
            return None
