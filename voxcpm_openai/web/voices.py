"""``/v1/voices``: list, add, change and delete voices, and preview them."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Literal, TypedDict

from flask import Blueprint, Response, request, send_file

from voxcpm_openai.contracts import Utterance
from voxcpm_openai.errors import CannotClone, InvalidRequest, UnknownConsent
from voxcpm_openai.listing import VoiceObject, voice_object
from voxcpm_openai.voices import validation
from voxcpm_openai.voices.intake import clip
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.library import speaker_source
from voxcpm_openai.voices.preview import FLAC, Preview
from voxcpm_openai.web import elevenlabs_shapes
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_principal
from voxcpm_openai.web.body import json_object
from voxcpm_openai.web.candidates import (
    PROMPT,
    Candidates,
    DesignedVoice,
    design_at_once,
    design_voice,
    designing_engine,
    synthesize_all,
)
from voxcpm_openai.web.elevenlabs_shapes import ElevenLabsVoice
from voxcpm_openai.web.forms import is_form, load_form, load_texts
from voxcpm_openai.web.openapi.operation import SPEECH, form, json_body, operation
from voxcpm_openai.web.queries import ListingSchema
from voxcpm_openai.web.schemas import (
    ChangeSchema,
    DesignSchema,
    PromptSchema,
    VoiceSchema,
    load,
    load_json,
)

blueprint = Blueprint("voices", __name__)

SAMPLE = "audio_sample"


class VoiceList(TypedDict):
    """The voices, twice; with `legacy` their ids."""

    object: Literal["list"]
    voices: list[VoiceObject] | list[str]
    data: list[VoiceObject] | list[str]


class ElevenLabsVoices(TypedDict):
    """The voices, in ElevenLabs' shape."""

    voices: list[ElevenLabsVoice]


class AddedVoice(TypedDict):
    """A voice that was made of a recording."""

    object: Literal["audio.voice"]
    id: str
    name: str
    created_at: int | None
    type: Literal["audio_sample"]


class DeletedVoice(TypedDict):
    """A voice that was deleted."""

    id: str
    object: Literal["audio.voice.deleted"]
    deleted: bool


@blueprint.get("/v1/audio/voices")
@blueprint.get("/v1/voices")
@operation(query=ListingSchema)
def list_voices() -> VoiceList | ElevenLabsVoices:
    """List the voices; ``?legacy=true`` lists only their ids.

    The list is returned twice, as ``voices`` and as ``data``: clients read one or the other.
    Clients that send ``xi-api-key`` get it in ElevenLabs' shape.
    """
    voices = current_context().voices
    if elevenlabs_shapes.is_asked_for():
        found = voices.all(current_principal())
        return {"voices": [elevenlabs_shapes.voice_json(voice) for voice in found]}
    listed: list[str] | list[VoiceObject]
    query = load(ListingSchema(), request.args, strict=False)
    if query.get("legacy", "").lower() in ("true", "1"):
        listed = voices.ids(current_principal())
    else:
        listed = [voice_object(voice) for voice in voices.all(current_principal())]
    return {"object": "list", "voices": listed, "data": listed}


@blueprint.get("/v1/voices/<id_>")
def get_voice(id_: str) -> VoiceObject | ElevenLabsVoice:
    """Return one voice; in ElevenLabs' shape if the client sends ``xi-api-key``.

    Raises UnknownVoice.
    """
    voice = current_context().voices.get(id_, current_principal())
    if elevenlabs_shapes.is_asked_for():
        return elevenlabs_shapes.voice_json(voice)
    return voice_object(voice)


@blueprint.post("/v1/audio/voices")
@operation(form(VoiceSchema, SAMPLE), form(PromptSchema), json_body(PromptSchema), raises=SPEECH)
def add_voice() -> AddedVoice | DesignedVoice:
    """Add a voice: ``name``, ``consent``, and ``audio_sample`` as a file; or design one.

    A design has the ``type`` "prompt", ``name`` and ``prompt``, as JSON or as a form.
    """
    ctx = current_context()
    strict = ctx.settings.strict
    if is_form(request) and request.form.get("type") == PROMPT:
        engine = designing_engine("type")
        fields = load_texts(PromptSchema(), request, file=SAMPLE, strict=strict)
        return design_at_once(fields, engine)
    if request.is_json and (body := json_object(request)).get("type") == PROMPT:
        engine = designing_engine("type")
        return design_at_once(load(PromptSchema(), body, strict=strict), engine)
    fields, content = load_form(VoiceSchema(), request, file=SAMPLE, strict=strict)
    name = validation.name(fields["name"])
    description = validation.description(fields.get("description", ""))
    transcript = validation.transcript(fields.get("transcript", ""))
    language = fields.get("language", "")
    _check_consent(fields.get("consent"))
    sample = clip.clean(content, param=SAMPLE)
    voice = ctx.store.add(
        name,
        sample.flac(),
        principal=current_principal(),
        transcript=transcript or _transcribed(sample, language),
        description=description,
        language=language,
        consent=fields.get("consent"),
    )
    ctx.preparation.add([voice])
    log_context(voice=voice.id, audio_s=round(sample.seconds, 2))
    return {
        "object": "audio.voice",
        "id": voice.id,
        "name": voice.name,
        "created_at": voice.created_at,
        "type": "audio_sample",
    }


@blueprint.post("/v1/voices")
@operation(form(VoiceSchema, SAMPLE), form(DesignSchema), json_body(DesignSchema), raises=SPEECH)
def create_voice() -> AddedVoice | DesignedVoice | Candidates:
    """Add a voice by its clip, as ``POST /v1/audio/voices``; without a clip, design candidates."""
    strict = current_context().settings.strict
    if not is_form(request):
        return design_voice(load_json(DesignSchema(), request, strict=strict))
    if SAMPLE in request.files or SAMPLE in request.form:
        return add_voice()
    return design_voice(load_texts(DesignSchema(), request, file=SAMPLE, strict=strict))


@blueprint.patch("/v1/voices/<id_>")
@operation(json_body(ChangeSchema))
def change_voice(id_: str) -> VoiceObject:
    """Change the ``name`` or the ``description`` of an added voice.

    Raises UnknownVoice, or InvalidRequest for a voice that cannot be changed.
    """
    ctx = current_context()
    ctx.voices.get_added(id_, current_principal())
    body = load_json(ChangeSchema(), request, strict=ctx.settings.strict)
    changed = ctx.store.update(
        id_,
        current_principal(),
        name=validation.name(body["name"]) if "name" in body else None,
        description=validation.description(body["description"]) if "description" in body else None,
    )
    return voice_object(changed)


@blueprint.delete("/v1/audio/voices/<id_>")
@blueprint.delete("/v1/voices/<id_>")
def delete_voice(id_: str) -> DeletedVoice:
    """Delete an added voice.

    Raises UnknownVoice, or InvalidRequest for a voice that cannot be deleted.
    """
    ctx = current_context()
    ctx.voices.get_added(id_, current_principal())
    ctx.store.remove(id_, current_principal())
    return {"id": id_, "object": "audio.voice.deleted", "deleted": True}


@blueprint.get("/v1/voices/<id_>/sample")
@operation(sends={"audio/*": bytes}, raises=(CannotClone, *SPEECH))
def get_sample(id_: str) -> Response:
    """Return a preview of a voice or a candidate: its clip, or a spoken sentence.

    Raises UnknownVoice, and Unauthorized without an API key if the voice is not built in.
    """
    ctx = current_context()
    candidate = ctx.candidates.clip(id_, current_principal())
    if candidate is not None:
        preview = Preview(candidate, FLAC)
    else:
        voice = ctx.voices.get_for_sample(id_, current_principal())
        log_context(voice=voice.id)
        preview = ctx.previews.get(voice, ctx.engine.name, _synthesize)
    return send_file(
        BytesIO(preview.content),
        mimetype=preview.media_type,
        etag=hashlib.sha256(preview.content).hexdigest()[:32],
        conditional=True,
    )


def _check_consent(id_: str | None) -> None:
    """Raise InvalidRequest if a consent is missing or does not exist."""
    ctx = current_context()
    if id_ is None:
        if ctx.settings.require_consent:
            raise InvalidRequest(
                "'consent' is required: the id of a recording in which the speaker allows it, sent "
                "to POST /v1/audio/voice_consents. (The operator decides: VOXCPM_REQUIRE_CONSENT.)",
                param="consent",
            )
        return
    try:  # before the clip is decoded; the store checks again
        ctx.consents.get(id_, current_principal())
    except UnknownConsent as error:
        raise InvalidRequest(
            f"{error.message} Send its recording to POST /v1/audio/voice_consents first.",
            param="consent",
        ) from error


def _transcribed(sample: Clip, language: str) -> str | None:
    """Return the transcript of a clip that came without one, if the running engine needs it."""
    ctx = current_context()
    if not ctx.engine.get().capabilities.needs_transcript:
        return None
    words = ctx.transcriber.transcribe(sample, language.partition("-")[0].lower())
    return validation.transcript(words)


def _synthesize(utterance: Utterance) -> bytes:
    """Synthesize a preview as FLAC.  Raises CannotClone if the engine cannot use the voice."""
    ctx = current_context()
    engine = ctx.engine.get()
    speaker_source(utterance.voice, ctx.engine.name, engine.capabilities, hint=ctx.other_engines)
    ((_, sample),) = synthesize_all(engine, [utterance])
    return sample.flac()
