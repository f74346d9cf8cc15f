"""Designed voices: candidates after a description, one of which may be kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from flask import Blueprint, Response, jsonify, request

from voxcpm_openai.contracts import Engine, Utterance
from voxcpm_openai.voices import names
from voxcpm_openai.voices.candidates import Design, require_design, utterances
from voxcpm_openai.voices.clip import Clip
from voxcpm_openai.voices.takes import Takes
from voxcpm_openai.web.auth import viewer
from voxcpm_openai.web.log import note
from voxcpm_openai.web.state import state

blueprint = Blueprint("candidates", __name__)


@blueprint.post("/v1/voices/<id_>/keep")
def keep_candidate(id_: str) -> Response:
    """Make a voice of a candidate.  Raises UnknownVoice, or InvalidRequest (``voices_full``)."""
    voice = state().store.keep(id_, viewer())
    note(voice=voice.id)
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


def design(asked: dict[str, str]) -> Response:
    """Make candidates after a description, each from a seed of its own; say where they are."""
    here = state()
    wish = Design(
        names.name(asked["name"]),
        names.description(asked["description"], least=1),
        asked.get("language", ""),
    )
    engine = here.running.get()
    require_design(engine, here.running.name)
    clips = speak(engine, utterances(wish))
    candidates = here.candidates.add(wish, clips, owner=viewer())
    return jsonify(
        {
            "candidates": [
                {"id": c.id, "seed": c.seed, "sample_url": f"/v1/voices/{c.id}/sample"}
                for c in candidates
            ]
        }
    )


def speak(engine: Engine, asked: Sequence[Utterance]) -> list[tuple[Utterance, Clip]]:
    """Speak utterances to their ends, side by side as far as there is room.

    Each that runs counts as a stream.  Raises Overloaded, and ClientLeft where nobody waits.
    """
    here = state()
    at_once = min(len(asked), here.streams.limit)
    takes = Takes(engine, asked, at_once)
    with ExitStack() as cleanup:
        for _ in range(at_once):
            cleanup.enter_context(here.streams.enter())
        cleanup.enter_context(here.watch.over(request.environ.get("gunicorn.socket"), takes.cancel))
        return takes.clips()
