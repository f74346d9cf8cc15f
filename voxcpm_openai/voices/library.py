"""The library of voices: lookup by principal, and what an engine can do with a voice.

All rules about voices and engines are here: with which voices an engine can speak, where it takes
the speaker from, and whether a preview is the clip or is synthesized.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

from voxcpm_openai import names
from voxcpm_openai.contracts import Capabilities, Voice
from voxcpm_openai.errors import CannotClone, InvalidRequest, Unauthorized, UnknownVoice
from voxcpm_openai.principal import ANONYMOUS, Principal, Role
from voxcpm_openai.voices.store.candidates import DESIGNED
from voxcpm_openai.voices.store.voices import VoiceStore


class VoiceLibrary:
    """The voices of the plugins and the added ones.

    A voice that the principal cannot view is treated as one that does not exist.
    """

    def __init__(
        self,
        voices: Mapping[str, Voice],
        store: VoiceStore,
        find: Callable[[str], Voice | None] = lambda _id: None,
    ) -> None:
        """``voices``: those of the plugins, by id; ``find``: returns a voice for other ids."""
        self._find = find
        self._voices = voices
        self._store = store

    def ids(self, principal: Principal = ANONYMOUS) -> list[str]:
        """List the ids, in alphabetical order."""
        return [voice.id for voice in self.all(principal)]

    def all(self, principal: Principal = ANONYMOUS) -> list[Voice]:
        """List the voices, in the order of their ids."""
        added = {voice.id: voice for voice in self._store.voices(principal)}
        voices = {**added, **self._voices}.values()
        return sorted((v for v in voices if principal.can_view(v.owner)), key=lambda v: v.id)

    def get(self, id_: str, principal: Principal = ANONYMOUS) -> Voice:
        """Return a voice.  Raises UnknownVoice, which names the existing ones."""
        voice = self._voices.get(id_) or self._store.find(id_, principal) or self._find(id_)
        if voice is None or not principal.can_view(voice.owner):
            raise UnknownVoice(
                f"The voice '{id_}' does not exist. There are: {', '.join(self.ids(principal))}."
            )
        return voice

    def find(self, name: str, principal: Principal = ANONYMOUS) -> Voice:
        """Return the voice of a speech request: where no id is equal, case does not matter.

        Raises UnknownVoice.
        """
        try:
            return self.get(name, principal)
        except UnknownVoice:
            if id_ := names.same(self.ids(principal), name):
                return self.get(id_, principal)
            found = self._find(name.lower())  # finders do not list what they find
            if found is not None and principal.can_view(found.owner):
                return found
            raise

    def get_for_sample(self, id_: str, principal: Principal = ANONYMOUS) -> Voice:
        """Return a voice whose sample the principal may hear.

        Raises UnknownVoice, and Unauthorized for anonymous unless the voice is public: a sample
        may be the recording of a person.
        """
        voice = self.get(id_, principal)
        if principal.role is Role.ANONYMOUS and not voice.public:
            raise Unauthorized(
                f"The sample of the voice '{id_}' requires an API key. Without one, only those of "
                "the built-in voices can be heard."
            )
        return voice

    def get_added(self, id_: str, principal: Principal = ANONYMOUS) -> Voice:
        """Return a voice that was added.  Raises UnknownVoice; InvalidRequest for a plugin's."""
        voice = self.get(id_, principal)
        if voice.created_at is None:
            raise InvalidRequest(
                f"The voice '{id_}' is built in or comes from a plugin or VOXCPM_VOICES_DIR; only "
                "added voices can be changed or deleted.",
                param="voice",
            )
        return voice


def kind(voice: Voice) -> str:
    """Return where a voice comes from: ``stock``, ``plugin``, ``cloned`` or ``designed``.

    ``plugin``: also a voice of the operator's folder.
    """
    if voice.created_at is None:
        return "stock" if voice.public else "plugin"
    return "designed" if voice.provenance.startswith(DESIGNED) else "cloned"


class SpeakerSource(enum.Enum):
    """Where an engine takes the speaker of a voice from."""

    OPTIONS = "options"  # the voice's settings for this engine
    CLIP = "clip"  # the voice's reference clip, which the engine clones
    GENERATED = "generated"  # a new speaker, after the description if there is one
    DEFAULT = "default"  # the engine's own default speaker


def speaker_source(
    voice: Voice, engine: str, capabilities: Capabilities, *, hint: str = ""
) -> SpeakerSource:
    """Return where the engine of this name takes the speaker of a voice from.

    Raises CannotClone if it cannot speak with the voice, and InvalidRequest if it needs the
    transcript of the voice's clip.  ``hint``: a sentence about the other engines.
    """
    if engine in voice.options:
        return SpeakerSource.OPTIONS
    if not capabilities.cloning:
        if capabilities.default_speaker:
            return SpeakerSource.DEFAULT
        known_by = "a reference clip" if voice.audio is not None else "settings for other engines"
        raise CannotClone(
            f"The voice '{voice.id}' has {known_by} only, and the running engine, {engine}, "
            f"cannot clone. Run an engine that can. {hint}".strip()
        )
    if voice.audio is None:
        return SpeakerSource.GENERATED
    if capabilities.needs_transcript and not voice.transcript:
        raise InvalidRequest(
            f"The voice '{voice.id}' has a clip but no transcript, and the running engine, "
            f"{engine}, needs one. Add the voice again with its 'transcript'.",
            param="voice",
        )
    return SpeakerSource.CLIP


def require_design(
    engine: str, capabilities: Capabilities, *, hint: str = "", param: str = "description"
) -> None:
    """Raise InvalidRequest unless the engine of this name can design voices.

    ``param``: the field of the request that asks for it.
    """
    if not capabilities.voice_design:
        raise InvalidRequest(
            f"The running engine, {engine}, cannot design voices. VoxCPM2 can: "
            f"VOXCPM_ENGINE=voxcpm and VOXCPM_MODEL=openbmb/VoxCPM2. {hint}".strip(),
            param=param,
        )


def previewed_by_clip(voice: Voice, engine: str) -> bool:
    """Return whether a preview is the voice's clip; otherwise the engine synthesizes one."""
    return voice.audio is not None and engine not in voice.options


def spoken_by(voice: Voice) -> list[str]:
    """List the engines that can speak with a voice, for listings."""
    return [*sorted(voice.options), *(["any engine that clones"] if voice.audio else [])]
