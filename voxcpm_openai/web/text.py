"""``POST /v1/audio/speech/text``: what a speech request would say."""

from __future__ import annotations

from flask import Blueprint, request

from voxcpm_openai.text.plan import PlanObject
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_principal
from voxcpm_openai.web.openapi.operation import ENGINE, json_body, operation
from voxcpm_openai.web.schemas import TextSchema, load_text
from voxcpm_openai.web.speech import IGNORED, header

blueprint = Blueprint("text", __name__)


@blueprint.post("/v1/audio/speech/text")
@operation(json_body(TextSchema), headers=(IGNORED,), raises=ENGINE)
def show_text() -> tuple[PlanObject, dict[str, str]]:
    """Return the segments of a text, and the words that the engine would be given.

    The body is that of a speech request; only ``input`` is required.

    Raises UnknownModel.
    """
    asked = load_text(request)
    log_context(characters=len(asked.input))
    ctx = current_context()
    can = ctx.engine.get().capabilities
    said, ignored = ctx.resolver.show(asked, can, current_principal())
    return said.as_json(), {IGNORED: header(ignored)} if ignored else {}
