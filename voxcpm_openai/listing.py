"""Voices and model ids as JSON, with the names of OpenAI's API and our own.

The HTTP API and the command line show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from voxcpm_openai.contracts import Preset, Voice
from voxcpm_openai.voices.library import kind

CREATED = 1_795_305_600
"""The date of the first release (2026-11-22), where OpenAI's shape needs an integer."""
OWNER = "voxcpm-openai"


class VoiceObject(TypedDict):
    """A voice; `engines` have settings for it, others need its `clip`."""

    id: str
    object: Literal["audio.voice"]
    name: str
    kind: str
    created_at: int
    description: str
    language: str
    license: str
    provenance: str
    engines: list[str]
    clip: bool


class ModelObject(TypedDict):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


def voice_object(voice: Voice) -> VoiceObject:
    """Return a voice."""
    return {
        "id": voice.id,
        "object": "audio.voice",
        "name": voice.name,
        "kind": kind(voice),
        "created_at": CREATED if voice.created_at is None else voice.created_at,
        "description": voice.description,
        "language": voice.language,
        "license": voice.license,
        "provenance": voice.provenance,
        "engines": sorted(voice.options),
        "clip": voice.audio is not None,
    }


def model_object(preset: Preset) -> ModelObject:
    """Return a model."""
    return {"id": preset.id, "object": "model", "created": CREATED, "owned_by": OWNER}


def list_object(items: Sequence[object]) -> dict[str, object]:
    """Return items as a list of OpenAI's."""
    return {"object": "list", "data": items}
