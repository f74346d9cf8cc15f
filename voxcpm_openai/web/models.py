"""``/v1/models``: the models that the running engine serves."""

from __future__ import annotations

from typing import Literal, NoReturn, TypedDict

from flask import Blueprint

from voxcpm_openai.contracts import Preset
from voxcpm_openai.errors import InvalidRequest, Unavailable
from voxcpm_openai.listing import ModelObject, model_object
from voxcpm_openai.web import elevenlabs_shapes
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.elevenlabs_shapes import ElevenLabsModel

blueprint = Blueprint("models", __name__)


class ModelList(TypedDict):
    """The models that the running engine serves."""

    object: Literal["list"]
    data: list[ModelObject]


class ModelId(TypedDict):
    """The id of a model."""

    id: str


class ModelIds(TypedDict):
    """The models, as Open WebUI reads them."""

    models: list[ModelId]


@blueprint.get("/v1/models")
def list_models() -> ModelList | list[ElevenLabsModel]:
    """List the models, in OpenAI's shape; in ElevenLabs' if the client sends ``xi-api-key``."""
    if elevenlabs_shapes.is_asked_for():
        return _elevenlabs_models()
    return {"object": "list", "data": [model_object(preset) for preset in _served()]}


@blueprint.get("/v1/models/<path:id_>")
def get_model(id_: str) -> ModelObject:
    """Return one model.

    Raises UnknownModel.
    """
    return model_object(current_context().resolver.preset(id_))


@blueprint.delete("/v1/models/<path:id_>")
def delete_model(id_: str) -> NoReturn:
    """Refuse: models come from plugins.

    Raises UnknownModel, or InvalidRequest.
    """
    preset = current_context().resolver.preset(id_)
    raise InvalidRequest(
        f"The model '{preset.id}' is built in and cannot be deleted.", param="model"
    )


@blueprint.get("/v1/audio/models")
def list_audio_models() -> ModelIds:
    """List the models as Open WebUI reads them."""
    return {"models": [{"id": preset.id} for preset in _served()]}


def _served() -> list[Preset]:
    ctx = current_context()
    return ctx.registry.presets_for(ctx.engine.name)


def _elevenlabs_models() -> list[ElevenLabsModel]:
    ctx = current_context()
    try:
        languages = ctx.engine.get().capabilities.languages
    except Unavailable:  # the models are known before the engine has started
        languages = ()
    longest = ctx.settings.max_input_chars
    return [elevenlabs_shapes.model_json(preset, languages, longest) for preset in _served()]
