"""The catalogue of voices: who can be asked for, and what the running engine can do with them."""

from __future__ import annotations

from collections.abc import Mapping

from voxcpm_openai.contracts import Voice
from voxcpm_openai.errors import CannotClone, UnknownVoice


class Catalog:
    """The voices of the registry, by id."""

    def __init__(self, voices: Mapping[str, Voice]) -> None:
        self._voices = voices

    def ids(self) -> list[str]:
        """List the ids, in alphabetical order."""
        return sorted(self._voices)

    def all(self) -> list[Voice]:
        """List the voices, in the order of their ids."""
        return [self._voices[id_] for id_ in self.ids()]

    def get(self, id_: str) -> Voice:
        """Return a voice.  Raises UnknownVoice, which names those there are."""
        voice = self._voices.get(id_)
        if voice is None:
            raise UnknownVoice(
                f"The voice '{id_}' does not exist. There are: {', '.join(self.ids())}."
            )
        return voice


def require_speech(voice: Voice, engine: str, clones: bool) -> None:
    """Raise CannotClone where the engine of this name can make nothing of a voice.

    An engine that clones can: from the clip, or, where there is none, by drawing a speaker.
    """
    if clones or engine in voice.options:
        return
    known_by = "a reference clip" if voice.audio is not None else "settings for other engines"
    raise CannotClone(
        f"The voice '{voice.id}' is known by {known_by}, and the running engine, {engine}, "
        "cannot clone. An engine that clones can speak with it: voxcpm (VOXCPM_ENGINE=voxcpm)."
    )
