"""``/v1/audio/voice_consents``: recordings that allow the use of a voice."""

from __future__ import annotations

from typing import Literal, TypedDict

from flask import Blueprint, request

from voxcpm_openai.voices import validation
from voxcpm_openai.voices.intake import clip
from voxcpm_openai.voices.store.data_folder import Consent
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_principal
from voxcpm_openai.web.forms import load_form
from voxcpm_openai.web.openapi.operation import form, json_body, operation
from voxcpm_openai.web.pages import page_of
from voxcpm_openai.web.queries import PageSchema
from voxcpm_openai.web.schemas import ConsentSchema, NameSchema, load, load_json

blueprint = Blueprint("consents", __name__)

RECORDING = "recording"


class ConsentObject(TypedDict):
    """A recording in which a speaker allows the use of the voice."""

    object: Literal["audio.voice_consent"]
    id: str
    name: str
    language: str
    created_at: int


class ConsentList(TypedDict):
    """A page of the consents."""

    object: Literal["list"]
    data: list[ConsentObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedConsent(TypedDict):
    """A consent that was deleted."""

    id: str
    object: Literal["audio.voice_consent"]
    deleted: bool


@blueprint.post("/v1/audio/voice_consents")
@operation(form(ConsentSchema, RECORDING))
def create_consent() -> ConsentObject:
    """Add a consent: ``name``, ``language``, and ``recording`` as a file.

    Raises InvalidRequest (``consents_full``).
    """
    ctx = current_context()
    fields, content = load_form(
        ConsentSchema(), request, file=RECORDING, strict=ctx.settings.strict
    )
    name = validation.name(fields["name"])
    recording = clip.clean(content, param=RECORDING)
    consent = ctx.consents.add(
        name, recording.flac(), language=fields["language"], principal=current_principal()
    )
    log_context(consent=consent.id)
    return _consent(consent)


@blueprint.get("/v1/audio/voice_consents")
@operation(query=PageSchema)
def list_consents() -> ConsentList:
    """List the consents, oldest first: up to ``limit`` (1 to 100, default 20) after ``after``."""
    ctx = current_context()
    page = load(PageSchema(), request.args, strict=ctx.settings.strict)
    consents = ctx.consents.all(current_principal())
    shown, has_more = page_of(
        consents, page["limit"], page.get("after"), param="after", kind="consent"
    )
    return {
        "object": "list",
        "data": [_consent(consent) for consent in shown],
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
        "has_more": has_more,
    }


@blueprint.get("/v1/audio/voice_consents/<id_>")
def get_consent(id_: str) -> ConsentObject:
    """Return one consent.

    Raises UnknownConsent.
    """
    return _consent(current_context().consents.get(id_, current_principal()))


@blueprint.post("/v1/audio/voice_consents/<id_>")
@operation(json_body(NameSchema))
def rename_consent(id_: str) -> ConsentObject:
    """Change the ``name`` of a consent.

    Raises UnknownConsent.
    """
    ctx = current_context()
    body = load_json(NameSchema(), request, strict=ctx.settings.strict)
    name = validation.name(body["name"])
    return _consent(ctx.consents.rename(id_, name, current_principal()))


@blueprint.delete("/v1/audio/voice_consents/<id_>")
def delete_consent(id_: str) -> DeletedConsent:
    """Delete a consent that no voice uses.

    Raises UnknownConsent, or InvalidRequest (``consent_in_use``).
    """
    current_context().consents.remove(id_, current_principal())
    return {"id": id_, "object": "audio.voice_consent", "deleted": True}


def _consent(consent: Consent) -> ConsentObject:
    return {
        "object": "audio.voice_consent",
        "id": consent.id,
        "name": consent.name,
        "language": consent.language,
        "created_at": consent.created_at,
    }
