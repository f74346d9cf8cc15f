"""``/health`` and ``/ready``, for probes."""

from __future__ import annotations

import dataclasses

from flask import Blueprint, Response, jsonify

from voxcpm_openai import __version__
from voxcpm_openai.errors import EngineFailed
from voxcpm_openai.lifecycle import FAILED_RETRY
from voxcpm_openai.web.app_context import current_context

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def health() -> Response:
    """Return that the process is alive, and the state of its engine."""
    engine = current_context().engine
    return jsonify(
        {
            "status": "ok",
            "version": __version__,
            "engine": {"name": engine.name, "state": engine.state},
        }
    )


@blueprint.get("/ready")
def ready() -> Response:
    """Return the status of an engine that accepts requests; otherwise a 503.

    Raises EngineLoading, EngineFailed or Draining.
    """
    ctx = current_context()
    status = ctx.engine.status()
    if status.state == "failed":  # after its start, such as by a lost device
        raise EngineFailed(
            f"The engine {ctx.engine.name} has failed; only a restart helps.",
            retry_after=FAILED_RETRY,
        )
    return jsonify(
        {
            "status": "ready",
            "engine": {"name": ctx.engine.name, **dataclasses.asdict(status)},
            "streams": {"running": ctx.limits.running, "limit": ctx.limits.limit},
        }
    )
