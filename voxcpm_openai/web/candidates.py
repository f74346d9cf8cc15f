"""Voice design: candidates from a description, one of which may be kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from flask import Blueprint, Response, jsonify, request

from voxcpm_openai.contracts import Engine, Utterance
from voxcpm_openai.voices import validation
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.library import require_design
from voxcpm_openai.voices.preview import BatchSynthesis, design_utterances
from voxcpm_openai.voices.store.candidates import Design
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context, disconnect_watch
from voxcpm_openai.web.auth import current_principal

blueprint = Blueprint("candidates", __name__)


@blueprint.post("/v1/voices/<id_>/keep")
def keep_candidate(id_: str) -> Response:
    """Make a candidate a voice.

    Raises UnknownVoice, or InvalidRequest (``voices_full``).
    """
    voice = current_context().store.keep(id_, current_principal())
    log_context(voice=voice.id)
    return jsonify(
        {
            "object": "audio.voice",
            "id": voice.id,
            "name": voice.name,
            "created_at": voice.created_at,
            "type": "prompt",
            "prompt": voice.description,
        }
    )


def design_voice(fields: dict[str, str]) -> Response:
    """Synthesize candidates for a description, each with a seed of its own; return their URLs."""
    ctx = current_context()
    design = Design(
        validation.name(fields["name"]),
        validation.description(fields["description"], min_length=1),
        fields.get("language", ""),
    )
    engine = ctx.engine.get()
    require_design(ctx.engine.name, engine.capabilities, hint=ctx.other_engines)
    clips = synthesize_all(engine, design_utterances(design))
    candidates = ctx.candidates.add(design, clips, current_principal())
    return jsonify(
        {
            "candidates": [
                {"id": c.id, "seed": c.seed, "sample_url": f"/v1/voices/{c.id}/sample"}
                for c in candidates
            ]
        }
    )


def synthesize_all(engine: Engine, utterances: Sequence[Utterance]) -> list[tuple[Utterance, Clip]]:
    """Synthesize utterances side by side, as far as the limit on streams allows.

    Each counts as a stream.  Raises Overloaded, and ClientLeft if the client disconnects.
    """
    limits = current_context().limits
    concurrency = min(len(utterances), limits.limit)
    batch = BatchSynthesis(engine, utterances, concurrency)
    with ExitStack() as cleanup:
        for _ in range(concurrency):
            cleanup.enter_context(limits.enter())
        socket = request.environ.get("gunicorn.socket")
        cleanup.enter_context(disconnect_watch().watch(socket, batch.cancel))
        return batch.synthesize_all()
