"""``/v1/voices``: who can be asked to speak."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from voxcpm_openai.contracts import Voice
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.web.state import state

blueprint = Blueprint("voices", __name__)


@blueprint.get("/v1/audio/voices")
@blueprint.get("/v1/voices")
def list_voices() -> Response:
    """List the voices; ``?legacy=true`` gives their ids alone.

    The list stands twice, as ``voices`` and as ``data``: clients read one or the other.
    """
    catalog = state().catalog
    listed: list[str] | list[dict[str, object]]
    if request.args.get("legacy", "").lower() in ("true", "1"):
        listed = catalog.ids()
    else:
        listed = [_voice(voice) for voice in catalog.all()]
    return jsonify({"object": "list", "voices": listed, "data": listed})


@blueprint.get("/v1/voices/<id_>")
def get_voice(id_: str) -> Response:
    """Return one voice.  Raises UnknownVoice."""
    return jsonify(_voice(state().catalog.get(id_)))


@blueprint.delete("/v1/voices/<id_>")
def delete_voice(id_: str) -> Response:
    """Refuse: these voices come from plugins.  Raises UnknownVoice, or InvalidRequest."""
    voice = state().catalog.get(id_)
    raise InvalidRequest(
        f"The voice '{voice.id}' is built in and cannot be deleted.", param="voice"
    )


def _voice(voice: Voice) -> dict[str, object]:
    """Describe a voice; ``engines`` have settings for it, others need the ``clip``."""
    return {
        "id": voice.id,
        "object": "audio.voice",
        "name": voice.name,
        "description": voice.description,
        "language": voice.language,
        "licence": voice.licence,
        "provenance": voice.provenance,
        "engines": sorted(voice.options),
        "clip": voice.audio is not None,
    }
