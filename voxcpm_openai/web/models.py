"""``/v1/models``: the models that the running engine serves."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from voxcpm_openai.contracts import Preset
from voxcpm_openai.errors import InvalidRequest, Unavailable
from voxcpm_openai.web import elevenlabs_shapes
from voxcpm_openai.web.app_context import current_context

blueprint = Blueprint("models", __name__)

CREATED = 1_795_305_600
"""The date of the first release (2026-11-22): the field must be an integer."""

OWNER = "voxcpm-openai"


@blueprint.get("/v1/models")
def list_models() -> Response:
    """List the models, in OpenAI's shape; in ElevenLabs' if the client sends ``xi-api-key``."""
    if elevenlabs_shapes.is_asked_for():
        return jsonify(_elevenlabs_models())
    return jsonify({"object": "list", "data": [_model(preset) for preset in _served()]})


@blueprint.get("/v1/models/<path:id_>")
def get_model(id_: str) -> Response:
    """Return one model.

    Raises UnknownModel.
    """
    return jsonify(_model(current_context().resolver.preset(id_)))


@blueprint.delete("/v1/models/<path:id_>")
def delete_model(id_: str) -> Response:
    """Refuse: models come from plugins.

    Raises UnknownModel, or InvalidRequest.
    """
    preset = current_context().resolver.preset(id_)
    raise InvalidRequest(
        f"The model '{preset.id}' is built in and cannot be deleted.", param="model"
    )


@blueprint.get("/v1/audio/models")
def list_audio_models() -> Response:
    """List the models as Open WebUI reads them."""
    return jsonify({"models": [{"id": preset.id} for preset in _served()]})


def _served() -> list[Preset]:
    ctx = current_context()
    return ctx.registry.presets_for(ctx.engine.name)


def _elevenlabs_models() -> list[dict[str, object]]:
    ctx = current_context()
    try:
        languages = ctx.engine.get().capabilities.languages
    except Unavailable:  # the models are known before the engine has started
        languages = ()
    longest = ctx.settings.max_input_chars
    return [elevenlabs_shapes.model_json(preset, languages, longest) for preset in _served()]


def _model(preset: Preset) -> dict[str, object]:
    return {"id": preset.id, "object": "model", "created": CREATED, "owned_by": OWNER}
