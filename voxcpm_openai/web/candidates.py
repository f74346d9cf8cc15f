"""Voice design: candidates from a description, one of which may be kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal, TypedDict

from flask import Blueprint, request

from voxcpm_openai.accounts.account import Account
from voxcpm_openai.contracts import Engine, Utterance
from voxcpm_openai.voices import validation
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.library import require_design
from voxcpm_openai.voices.preview import CANDIDATES, BatchSynthesis, design_utterances
from voxcpm_openai.voices.store.candidates import Design
from voxcpm_openai.voices.store.data_folder import Candidate
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context, disconnect_watch
from voxcpm_openai.web.auth import current_account, current_principal

blueprint = Blueprint("candidates", __name__)

PROMPT = "prompt"
"""The ``type`` of a designed voice."""


class DesignedVoice(TypedDict):
    """A voice that was designed."""

    object: Literal["audio.voice"]
    id: str
    name: str
    created_at: int | None
    type: Literal["prompt"]
    prompt: str


class CandidateObject(TypedDict):
    """A candidate for a voice, and where it can be heard."""

    id: str
    seed: int
    sample_url: str


class Candidates(TypedDict):
    """Candidates for a voice; `POST /v1/voices/{id}/keep` makes one of them a voice."""

    candidates: list[CandidateObject]


@blueprint.post("/v1/voices/<id_>/keep")
def keep_candidate(id_: str) -> DesignedVoice:
    """Make a candidate a voice.

    Raises UnknownVoice, or InvalidRequest (``voices_full``).
    """
    return _kept(id_)


def design_at_once(fields: dict[str, str], engine: Engine) -> DesignedVoice:
    """Design a voice from a prompt and keep it, in OpenAI's API.

    Raises InvalidRequest for a wrong field, or if there are too many voices.
    """
    design = Design(
        validation.name(fields["name"]),
        validation.prompt(fields["prompt"]),
        fields.get("language", ""),
    )
    (candidate,) = _candidates(design, 1, engine)
    return _kept(candidate.id)


def design_voice(fields: dict[str, str]) -> Candidates:
    """Synthesize candidates for a description, each with a seed of its own; return their URLs."""
    design = Design(
        validation.name(fields["name"]),
        validation.description(fields["description"], min_length=1),
        fields.get("language", ""),
    )
    candidates = _candidates(design, CANDIDATES, designing_engine())
    return {
        "candidates": [
            {"id": c.id, "seed": c.seed, "sample_url": f"/v1/voices/{c.id}/sample"}
            for c in candidates
        ]
    }


def designing_engine(param: str = "description") -> Engine:
    """Return the running engine.  Raises InvalidRequest, about this field, if it cannot design."""
    ctx = current_context()
    engine = ctx.engine.get()
    require_design(ctx.engine.name, engine.capabilities, hint=ctx.other_engines, param=param)
    return engine


def _candidates(design: Design, count: int, engine: Engine) -> list[Candidate]:
    clips = synthesize_all(engine, design_utterances(design, count))
    return current_context().candidates.add(design, clips, current_principal())


def _kept(id_: str) -> DesignedVoice:
    """Make a candidate a voice; return it in OpenAI's shape."""
    ctx = current_context()
    voice = ctx.store.keep(id_, current_principal())
    ctx.preparation.add([voice])
    log_context(voice=voice.id)
    return {
        "object": "audio.voice",
        "id": voice.id,
        "name": voice.name,
        "created_at": voice.created_at,
        "type": "prompt",
        "prompt": voice.description,
    }


def synthesize_all(engine: Engine, utterances: Sequence[Utterance]) -> list[tuple[Utterance, Clip]]:
    """Synthesize utterances side by side, as far as the limit on streams allows.

    Each counts as a stream.  Raises Overloaded, RateLimited; ClientLeft if the client disconnects.
    """
    ctx, account = current_context(), current_account()
    limits, holder, model = ctx.limits, account.holder, ctx.resolver.default_model
    concurrency = min(len(utterances), limits.limit, holder.limit or limits.limit)
    batch = BatchSynthesis(engine, utterances, concurrency)
    with ExitStack() as cleanup:
        for _ in range(concurrency):
            cleanup.enter_context(limits.enter(holder))
        cleanup.enter_context(ctx.engine.awake())
        account.charge(len(utterances), sum(map(_length, utterances)))
        cleanup.callback(_record, account, model, batch.finished)
        socket = request.environ.get("gunicorn.socket")
        cleanup.enter_context(disconnect_watch().watch(socket, batch.cancel))
        return batch.synthesize_all()


def _record(account: Account, model: str, made: Sequence[Utterance]) -> None:
    if made:
        account.record(model, len(made), sum(map(_length, made)))


def _length(utterance: Utterance) -> int:
    return sum(len(segment.text) for segment in utterance.segments)
