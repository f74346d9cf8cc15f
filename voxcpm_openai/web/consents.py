"""``/v1/audio/voice_consents``: recordings that allow the use of a voice."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from voxcpm_openai.voices import validation
from voxcpm_openai.voices.intake import clip
from voxcpm_openai.voices.store.data_folder import Consent
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_principal
from voxcpm_openai.web.forms import load_form
from voxcpm_openai.web.pages import page_of
from voxcpm_openai.web.schemas import ConsentSchema, NameSchema, PageSchema, load, load_json

blueprint = Blueprint("consents", __name__)


@blueprint.post("/v1/audio/voice_consents")
def create_consent() -> Response:
    """Add a consent: ``name``, ``language``, and ``recording`` as a file.

    Raises InvalidRequest (``consents_full``).
    """
    ctx = current_context()
    form, content = load_form(
        ConsentSchema(), request, file="recording", strict=ctx.settings.strict
    )
    name = validation.name(form["name"])
    recording = clip.clean(content, param="recording")
    consent = ctx.consents.add(
        name, recording.flac(), language=form["language"], principal=current_principal()
    )
    log_context(consent=consent.id)
    return jsonify(_consent(consent))


@blueprint.get("/v1/audio/voice_consents")
def list_consents() -> Response:
    """List the consents, oldest first: up to ``limit`` (1 to 100, default 20) after ``after``."""
    ctx = current_context()
    page = load(PageSchema(), request.args, strict=ctx.settings.strict)
    consents = ctx.consents.all(current_principal())
    shown, has_more = page_of(
        consents, page["limit"], page.get("after"), param="after", kind="consent"
    )
    return jsonify(
        {
            "object": "list",
            "data": [_consent(consent) for consent in shown],
            "first_id": shown[0].id if shown else None,
            "last_id": shown[-1].id if shown else None,
            "has_more": has_more,
        }
    )


@blueprint.get("/v1/audio/voice_consents/<id_>")
def get_consent(id_: str) -> Response:
    """Return one consent.

    Raises UnknownConsent.
    """
    return jsonify(_consent(current_context().consents.get(id_, current_principal())))


@blueprint.post("/v1/audio/voice_consents/<id_>")
def rename_consent(id_: str) -> Response:
    """Change the ``name`` of a consent.

    Raises UnknownConsent.
    """
    ctx = current_context()
    body = load_json(NameSchema(), request, strict=ctx.settings.strict)
    return jsonify(
        _consent(ctx.consents.rename(id_, validation.name(body["name"]), current_principal()))
    )


@blueprint.delete("/v1/audio/voice_consents/<id_>")
def delete_consent(id_: str) -> Response:
    """Delete a consent that no voice uses.

    Raises UnknownConsent, or InvalidRequest (``consent_in_use``).
    """
    current_context().consents.remove(id_, current_principal())
    return jsonify({"id": id_, "object": "audio.voice_consent", "deleted": True})


def _consent(consent: Consent) -> dict[str, object]:
    return {
        "object": "audio.voice_consent",
        "id": consent.id,
        "name": consent.name,
        "language": consent.language,
        "created_at": consent.created_at,
    }
