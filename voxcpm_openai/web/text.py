"""``POST /v1/audio/speech/text``: what a speech request would say."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_principal
from voxcpm_openai.web.schemas import load_text
from voxcpm_openai.web.speech import IGNORED, header

blueprint = Blueprint("text", __name__)


@blueprint.post("/v1/audio/speech/text")
def show_text() -> Response:
    """Return the segments of a text, and the words that the engine would be given.

    The body is that of a speech request; only ``input`` is required.
    """
    asked = load_text(request)
    log_context(characters=len(asked.input))
    ctx = current_context()
    can = ctx.engine.get().capabilities
    said, ignored = ctx.resolver.show(asked, can, current_principal())
    response = jsonify(said.as_json())
    if ignored:
        response.headers[IGNORED] = header(ignored)
    return response
