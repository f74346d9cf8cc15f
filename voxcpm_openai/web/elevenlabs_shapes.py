"""The JSON of ElevenLabs' API: voices, models, errors, and which requests want it.

``/v1/voices`` and ``/v1/models`` are paths of both APIs: the header ``xi-api-key``, which all
clients of ElevenLabs send, tells which one is meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from flask import request, url_for

from voxcpm_openai.contracts import Preset, Voice
from voxcpm_openai.text.language import LANGUAGES

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


def is_asked_for() -> bool:
    """Return whether the current request is answered in ElevenLabs' shape."""
    if request.path.startswith(OPENAI_PATHS):
        return False
    return _is_own_path() or (KEY in request.headers and request.blueprint in SHARED)


def _is_own_path() -> bool:
    return request.path.startswith(PATHS)


def detail(
    status: int, error: dict[str, dict[str, str | None]]
) -> dict[str, dict[str, str | None]]:
    """Return an error of OpenAI's shape in that of ElevenLabs; ``status`` is the HTTP status."""
    fields = error["error"]
    name = fields["code"] or STATUSES.get(status) or fields["type"]
    message = fields["message"] or ""
    for ours, theirs in FIELDS.items():
        message = message.replace(ours, theirs) if _is_own_path() else message
    return {"detail": {"status": name, "message": message}}


def voice_json(voice: Voice) -> dict[str, object]:
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


def model_json(preset: Preset, languages: Iterable[str], max_chars: int) -> dict[str, object]:
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
