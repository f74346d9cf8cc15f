"""``/v1/audio/voice_consents``: the recordings that allow the use of a voice."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.voices import clip, names
from voxcpm_openai.voices.data import Consent
from voxcpm_openai.web.auth import viewer
from voxcpm_openai.web.forms import load_form
from voxcpm_openai.web.log import note
from voxcpm_openai.web.schemas import ConsentSchema, NameSchema, PageSchema, load, load_json
from voxcpm_openai.web.state import state

blueprint = Blueprint("consents", __name__)


@blueprint.post("/v1/audio/voice_consents")
def create_consent() -> Response:
    """Keep the recording of a consent: ``name``, ``language``, and ``recording`` as a file."""
    here = state()
    form, content = load_form(
        ConsentSchema(), request, file="recording", strict=here.settings.strict
    )
    name = names.name(form["name"])
    recording = clip.clean(content, param="recording")
    consent = here.consents.add(name, recording.flac(), owner=viewer(), language=form["language"])
    note(consent=consent.id)
    return jsonify(_consent(consent))


@blueprint.get("/v1/audio/voice_consents")
def list_consents() -> Response:
    """List the consents, oldest first: ``limit`` (1 to 100, or 20) of those behind ``after``."""
    here = state()
    page = load(PageSchema(), request.args, strict=here.settings.strict)
    consents = here.consents.all(viewer())
    start = 0
    if (after := page.get("after")) is not None:
        ids = [consent.id for consent in consents]
        if after not in ids:
            raise InvalidRequest(f"There is no consent '{after}' to go on after.", param="after")
        start = ids.index(after) + 1
    shown = consents[start : start + page["limit"]]
    return jsonify(
        {
            "object": "list",
            "data": [_consent(consent) for consent in shown],
            "first_id": shown[0].id if shown else None,
            "last_id": shown[-1].id if shown else None,
            "has_more": start + len(shown) < len(consents),
        }
    )


@blueprint.get("/v1/audio/voice_consents/<id_>")
def get_consent(id_: str) -> Response:
    """Return one consent.  Raises UnknownConsent."""
    return jsonify(_consent(state().consents.get(id_, viewer())))


@blueprint.post("/v1/audio/voice_consents/<id_>")
def rename_consent(id_: str) -> Response:
    """Give a consent another ``name``.  Raises UnknownConsent."""
    here = state()
    body = load_json(NameSchema(), request, strict=here.settings.strict)
    return jsonify(_consent(here.consents.rename(id_, viewer(), names.name(body["name"]))))


@blueprint.delete("/v1/audio/voice_consents/<id_>")
def delete_consent(id_: str) -> Response:
    """Delete a consent that no voice rests on.  Raises UnknownConsent, or InvalidRequest."""
    state().consents.remove(id_, viewer())
    return jsonify({"id": id_, "object": "audio.voice_consent", "deleted": True})


def _consent(consent: Consent) -> dict[str, object]:
    return {
        "object": "audio.voice_consent",
        "id": consent.id,
        "name": consent.name,
        "language": consent.language,
        "created_at": consent.created_at,
    }
