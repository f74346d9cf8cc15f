"""The JSON of ElevenLabs' API: voices, models, errors, and which requests want it.

``/v1/voices`` and ``/v1/models`` are paths of both APIs: the header ``xi-api-key``, which all
clients of ElevenLabs send, tells which one is meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypedDict

from flask import request, url_for

from voxcpm_openai.contracts import Preset, Voice
from voxcpm_openai.text.language import LANGUAGES

DEFAULT_FORMAT = "mp3_44100_128"

RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
KBITS = (32, 64, 96, 128, 192)
OUTPUT_FORMATS: dict[str, tuple[str, int, int | None]] = {
    **{f"{name}_{rate}": (name, rate, None) for name in ("pcm", "wav") for rate in RATES},
    **{f"opus_48000_{kbits}": ("opus", 48_000, kbits * 1000) for kbits in KBITS},
    **{f"mp3_44100_{kbits}": ("mp3", 44_100, kbits * 1000) for kbits in KBITS},
    "mp3_22050_32": ("mp3", 22_050, 32_000),
    "mp3_24000_48": ("mp3", 24_000, 48_000),
    "ulaw_8000": ("ulaw", 8_000, None),
    "alaw_8000": ("alaw", 8_000, None),
}
"""ElevenLabs' names: the format, the sample rate in Hz, and the bit rate in bits per second."""

KEY = "xi-api-key"
"""The header that clients of ElevenLabs send, with or without a key."""
PATHS = ("/v1/text-to-speech/", "/v2/")
"""How the paths begin that only ElevenLabs has."""
OPENAI_PATHS = "/v1/audio/"
"""How the paths begin that only OpenAI has; the header is a key there and nothing else."""
SHARED = frozenset({None, "dictionaries", "models", "voices"})
"""Blueprints with paths of both APIs; None stands for paths that do not exist."""

STATUSES = {401: "needs_authorization", 404: "not_found", 405: "method_not_allowed"}
"""The status of an error without a code of its own; of others it is the error's type."""


FIELDS = {"'input'": "'text'", "'language'": "'language_code'"}
"""Our names of fields in error messages, and ElevenLabs' names."""


class ErrorObject(TypedDict):
    """What is wrong: `param` names the wrong field, `code` is for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(TypedDict):
    """An error, in OpenAI's shape."""

    error: ErrorObject


class DetailObject(TypedDict):
    """What is wrong; `status` is for programs."""

    status: str
    message: str


class ErrorDetail(TypedDict):
    """An error, in ElevenLabs' shape."""

    detail: DetailObject


class ElevenLabsVoice(TypedDict):
    """A voice, in ElevenLabs' shape."""

    voice_id: str
    name: str
    category: Literal["premade", "cloned"]
    labels: dict[str, str]
    description: str | None
    preview_url: str
    available_for_tiers: list[str]
    high_quality_base_model_ids: list[str]
    created_at_unix: int | None


class ElevenLabsLanguage(TypedDict):
    """A language of a model."""

    language_id: str
    name: str


class ElevenLabsModel(TypedDict):
    """A model, in ElevenLabs' shape."""

    model_id: str
    name: str
    description: str
    can_do_text_to_speech: bool
    can_do_voice_conversion: bool
    can_be_finetuned: bool
    can_use_style: bool
    can_use_speaker_boost: bool
    serves_pro_voices: bool
    token_cost_factor: float
    requires_alpha_access: bool
    maximum_text_length_per_request: int
    languages: list[ElevenLabsLanguage]


def is_asked_for() -> bool:
    """Return whether the current request is answered in ElevenLabs' shape."""
    path = request.path
    return is_own(path) or (KEY in request.headers and is_shared(path, request.blueprint))


def is_own(path: str) -> bool:
    """Return whether only ElevenLabs' API has a path."""
    return path.startswith(PATHS)


def is_shared(path: str, blueprint: str | None) -> bool:
    """Return whether both APIs have a path."""
    return blueprint in SHARED and not path.startswith((OPENAI_PATHS, *PATHS))


def detail(status: int, error: ErrorEnvelope) -> ErrorDetail:
    """Return an error of OpenAI's shape in that of ElevenLabs; ``status`` is the HTTP status."""
    fields = error["error"]
    name = fields["code"] or STATUSES.get(status) or fields["type"]
    message = fields["message"]
    for ours, theirs in FIELDS.items():
        message = message.replace(ours, theirs) if is_own(request.path) else message
    return {"detail": {"status": name, "message": message}}


def voice_json(voice: Voice) -> ElevenLabsVoice:
    """Return a voice."""
    labels = {"language": voice.language, "description": voice.description}
    return {
        "voice_id": voice.id,
        "name": voice.name,
        "category": "premade" if voice.created_at is None else "cloned",
        "labels": {name: value for name, value in labels.items() if value},
        "description": voice.description or None,
        "preview_url": url_for("voices.get_sample", id_=voice.id, _external=True),
        "available_for_tiers": [],
        "high_quality_base_model_ids": [],
        "created_at_unix": voice.created_at,
    }


def model_json(preset: Preset, languages: Iterable[str], max_chars: int) -> ElevenLabsModel:
    """Return a model; ``languages`` are the codes of the running engine's, if it names any."""
    names = {code: name.title() for name, code in reversed(LANGUAGES.items())}
    return {
        "model_id": preset.id,
        "name": preset.id,
        "description": "",
        "can_do_text_to_speech": True,
        "can_do_voice_conversion": False,
        "can_be_finetuned": False,
        "can_use_style": False,
        "can_use_speaker_boost": False,
        "serves_pro_voices": False,
        "token_cost_factor": 0.0,
        "requires_alpha_access": False,
        "maximum_text_length_per_request": max_chars,
        "languages": [{"language_id": code, "name": names.get(code, code)} for code in languages],
    }
