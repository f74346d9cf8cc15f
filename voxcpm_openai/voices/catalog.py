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


def can_speak(voice: Voice, engine: str, clones: bool) -> bool:
    """Whether the engine of this name can use a voice: by settings for it, or by the clip."""
    return engine in voice.options or (clones and voice.audio is not None)


def require_speech(voice: Voice, engine: str, clones: bool) -> None:
    """Raise CannotClone, which says what is missing, where the engine cannot use the voice."""
    if can_speak(voice, engine, clones):
        return
    if clones:
        raise CannotClone(
            f"The voice '{voice.id}' has neither a reference clip nor settings for the running "
            f"engine, {engine}."
        )
    raise CannotClone(
        f"The voice '{voice.id}' is known by a reference clip, and the running engine, {engine}, "
        "cannot clone. An engine that clones can speak with it: voxcpm (VOXCPM_ENGINE=voxcpm)."
    )
