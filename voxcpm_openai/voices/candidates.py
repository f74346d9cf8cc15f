"""Designed voices that wait to be kept: drawn after a description, heard, and swept in an hour."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from voxcpm_openai.contracts import Engine, Utterance, Voice
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.voices.clip import Clip
from voxcpm_openai.voices.data import Candidate, Data
from voxcpm_openai.voices.owners import commands
from voxcpm_openai.voices.sentences import sentence

TAKES = 3
"""How many candidates are made of a description."""


@dataclass(frozen=True, slots=True)
class Design:
    """What somebody wants: a name, a description, and the language to hear it in."""

    name: str
    description: str
    language: str = ""


class Candidates:
    """The candidates of the data folder."""

    def __init__(self, data: Data) -> None:
        self._data = data

    def add(
        self, design: Design, clips: Sequence[tuple[Utterance, Clip]], *, owner: str | None
    ) -> list[Candidate]:
        """Keep what was spoken of a design, for an hour.  Raises Unwritable."""
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
                    provenance=f"designed after its description, seed {utterance.seed}",
                )
                self._data.candidates.put(candidate, clip.flac())
                candidates.append(candidate)
        return candidates

    def clip(self, id_: str, viewer: str | None) -> bytes | None:
        """Return a candidate's sound as FLAC; None where the viewer has no such candidate."""
        candidate = self._data.candidates.all().get(id_)
        if candidate is None or not candidate.fresh or not commands(viewer, candidate.owner):
            return None
        try:
            return self._data.candidates.sound(id_).read_bytes()
        except FileNotFoundError:  # kept, or swept, meanwhile
            return None


def utterances(design: Design) -> list[Utterance]:
    """Return the takes of a design: one sentence, and a seed of its own for each."""
    voice = Voice("", design.name, description=design.description, language=design.language)
    return [
        Utterance(sentence(design.language), voice, seed=secrets.randbits(31)) for _ in range(TAKES)
    ]


def require_design(engine: Engine, name: str) -> None:
    """Raise InvalidRequest where the running engine, of this name, cannot design voices."""
    if not engine.designs:
        raise InvalidRequest(
            f"The running engine, {name}, cannot design a voice after a description. VoxCPM2 can: "
            "VOXCPM_ENGINE=voxcpm VOXCPM_MODEL=openbmb/VoxCPM2.",
            param="description",
        )
