"""The catalogue of voices: who can be asked for, and what the running engine can do with them."""

from __future__ import annotations

from collections.abc import Mapping

from voxcpm_openai.contracts import Voice
from voxcpm_openai.errors import CannotClone, UnknownVoice
from voxcpm_openai.voices.owners import sees
from voxcpm_openai.voices.store import Store


class Catalog:
    """The voices of the registry and those that people have added, as a viewer sees them.

    ``viewer`` is who asks (see ``owners``); another's voice is as if it did not exist.
    """

    def __init__(self, voices: Mapping[str, Voice], store: Store) -> None:
        self._voices = voices
        self._store = store

    def ids(self, viewer: str | None) -> list[str]:
        """List the ids, in alphabetical order."""
        return [voice.id for voice in self.all(viewer)]

    def all(self, viewer: str | None) -> list[Voice]:
        """List the voices, in the order of their ids."""
        added = {v.id: v for v in self._store.voices() if sees(viewer, v.owner)}
        return sorted({**added, **self._voices}.values(), key=lambda voice: voice.id)

    def get(self, id_: str, viewer: str | None) -> Voice:
        """Return a voice.  Raises UnknownVoice, which names those there are."""
        voice = self._voices.get(id_) or self._store.find(id_)
        if voice is None or not sees(viewer, voice.owner):
            raise UnknownVoice(
                f"The voice '{id_}' does not exist. There are: {', '.join(self.ids(viewer))}."
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
