"""``/v1/voices``: who can be asked to speak, and voices that people add."""

from __future__ import annotations

import hashlib
import mimetypes
from io import BytesIO

from flask import Blueprint, Response, jsonify, request, send_file

from voxcpm_openai.contracts import Utterance, Voice
from voxcpm_openai.errors import InvalidRequest, UnknownConsent, UnknownVoice
from voxcpm_openai.voices import clip, names
from voxcpm_openai.voices.catalog import require_speech
from voxcpm_openai.voices.clip import Clip
from voxcpm_openai.web.auth import viewer
from voxcpm_openai.web.candidates import design, speak
from voxcpm_openai.web.forms import is_form, load_form, load_texts
from voxcpm_openai.web.log import note
from voxcpm_openai.web.models import CREATED
from voxcpm_openai.web.schemas import ChangeSchema, DesignSchema, VoiceSchema, load_json
from voxcpm_openai.web.state import state

blueprint = Blueprint("voices", __name__)

SAMPLE = "audio_sample"
FLAC = "audio/flac"


@blueprint.get("/v1/audio/voices")
@blueprint.get("/v1/voices")
def list_voices() -> Response:
    """List the voices; ``?legacy=true`` gives their ids alone.

    The list stands twice, as ``voices`` and as ``data``: clients read one or the other.
    """
    catalog = state().catalog
    listed: list[str] | list[dict[str, object]]
    if request.args.get("legacy", "").lower() in ("true", "1"):
        listed = catalog.ids(viewer())
    else:
        listed = [_voice(voice) for voice in catalog.all(viewer())]
    return jsonify({"object": "list", "voices": listed, "data": listed})


@blueprint.get("/v1/voices/<id_>")
def get_voice(id_: str) -> Response:
    """Return one voice.  Raises UnknownVoice."""
    return jsonify(_voice(state().catalog.get(id_, viewer())))


@blueprint.post("/v1/audio/voices")
def add_voice() -> Response:
    """Add a voice: ``name``, ``consent``, and ``audio_sample`` as a file."""
    here = state()
    form, content = load_form(VoiceSchema(), request, file=SAMPLE, strict=here.settings.strict)
    name = names.name(form["name"])
    description = names.description(form.get("description", ""))
    words = names.transcript(form.get("transcript", ""))
    language = form.get("language", "")
    _check_consent(form.get("consent"))
    sample = clip.clean(content, param=SAMPLE)
    voice = here.store.add(
        name,
        sample.flac(),
        owner=viewer(),
        transcript=words or _words(sample, language),
        description=description,
        language=language,
        consent=form.get("consent"),
    )
    note(voice=voice.id, audio_s=round(sample.seconds, 2))
    return jsonify(
        {
            "object": "audio.voice",
            "id": voice.id,
            "name": voice.name,
            "created_at": voice.created_at,
            "type": SAMPLE,
        }
    )


@blueprint.post("/v1/voices")
def create_voice() -> Response:
    """Add a voice by its clip, as ``POST /v1/audio/voices``; without one, design candidates."""
    strict = state().settings.strict
    if not is_form(request):
        return design(load_json(DesignSchema(), request, strict=strict))
    if SAMPLE in request.files or SAMPLE in request.form:
        return add_voice()
    return design(load_texts(DesignSchema(), request, file=SAMPLE, strict=strict))


@blueprint.patch("/v1/voices/<id_>")
def change_voice(id_: str) -> Response:
    """Give an added voice another ``name`` or ``description``.  Raises UnknownVoice."""
    here = state()
    _added(id_)
    body = load_json(ChangeSchema(), request, strict=here.settings.strict)
    changed = here.store.update(
        id_,
        viewer(),
        name=names.name(body["name"]) if "name" in body else None,
        description=names.description(body["description"]) if "description" in body else None,
    )
    return jsonify(_voice(changed))


@blueprint.delete("/v1/audio/voices/<id_>")
@blueprint.delete("/v1/voices/<id_>")
def delete_voice(id_: str) -> Response:
    """Delete an added voice.  Raises UnknownVoice; InvalidRequest for one that is built in."""
    _added(id_)
    state().store.remove(id_, viewer())
    return jsonify({"id": id_, "object": "audio.voice.deleted", "deleted": True})


@blueprint.get("/v1/voices/<id_>/sample")
def get_sample(id_: str) -> Response:
    """Let a voice be heard: its clip, or where the engine has settings for it a spoken sentence."""
    here = state()
    content, media_type = here.candidates.clip(id_, viewer()), FLAC
    if content is None:
        voice = here.catalog.get(id_, viewer())
        note(voice=voice.id)
        if voice.audio is None or here.running.name in voice.options:
            content = here.spoken.get(voice, here.running.name, _speak)
        else:
            content = _read(voice)
            if voice.audio.suffix != ".flac":  # Python's table has an older name for FLAC
                media_type = mimetypes.guess_type(voice.audio)[0] or "application/octet-stream"
    return send_file(
        BytesIO(content),
        mimetype=media_type,
        etag=hashlib.sha256(content).hexdigest()[:32],
        conditional=True,
    )


def _check_consent(id_: str | None) -> None:
    """Raise InvalidRequest where there should be a consent, or where there is no such one."""
    here = state()
    if id_ is None:
        if here.settings.require_consent:
            raise InvalidRequest(
                "'consent' is required: the id of a recording in which the speaker allows it, sent "
                "to POST /v1/audio/voice_consents. (The operator decides: VOXCPM_REQUIRE_CONSENT.)",
                param="consent",
            )
        return
    try:  # here, too, before the clip is decoded; the store looks again
        here.consents.get(id_, viewer())
    except UnknownConsent as error:
        raise InvalidRequest(
            f"{error.message} Send its recording to POST /v1/audio/voice_consents first.",
            param="consent",
        ) from error


def _words(sample: Clip, language: str) -> str | None:
    """Return the words of a clip that came without them, if the running engine needs them."""
    here = state()
    if not here.running.get().needs_transcript:
        return None
    return names.transcript(here.transcripts.words(sample, language.partition("-")[0].lower()))


def _added(id_: str) -> None:
    """Raise UnknownVoice for what is not there, InvalidRequest for what nobody can change."""
    voice = state().catalog.get(id_, viewer())
    if voice.created_at is None:
        raise InvalidRequest(
            f"The voice '{voice.id}' is built in and can be neither changed nor deleted.",
            param="voice",
        )


def _read(voice: Voice) -> bytes:
    assert voice.audio is not None
    try:
        return voice.audio.read_bytes()
    except FileNotFoundError as error:  # deleted meanwhile
        raise UnknownVoice(f"The voice '{voice.id}' has no clip any more.") from error


def _speak(utterance: Utterance) -> bytes:
    """Speak a sample.  Raises CannotClone where the engine can make nothing of the voice."""
    running = state().running
    engine = running.get()
    require_speech(utterance.voice, running.name, engine.clones)
    ((_, sample),) = speak(engine, [utterance])
    return sample.flac()


def _voice(voice: Voice) -> dict[str, object]:
    """Describe a voice; ``engines`` have settings for it, others need the ``clip``."""
    return {
        "id": voice.id,
        "object": "audio.voice",
        "name": voice.name,
        "created_at": CREATED if voice.created_at is None else voice.created_at,
        "description": voice.description,
        "language": voice.language,
        "licence": voice.licence,
        "provenance": voice.provenance,
        "engines": sorted(voice.options),
        "clip": voice.audio is not None,
    }
