"""``/health`` and ``/ready``: what probes ask."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from voxcpm_openai import __version__
from voxcpm_openai.errors import EngineFailed
from voxcpm_openai.web.state import state

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def health() -> Response:
    """Say that the process answers, whatever its engine does."""
    running = state().running
    return jsonify(
        {
            "status": "ok",
            "version": __version__,
            "engine": {"name": running.name, "state": running.state},
        }
    )


@blueprint.get("/ready")
def ready() -> Response:
    """Say that speech can be had now.  Raises EngineLoading, EngineFailed or Draining: a 503."""
    here = state()
    here.running.get()
    engine = here.running.status()
    if engine.get("state") == "failed":  # it broke after it had started: a lost device
        raise EngineFailed(
            f"The engine {here.running.name} has failed; only a restart helps.", retry_after=60
        )
    return jsonify(
        {
            "status": "ready",
            "engine": {"name": here.running.name, **engine},
            "streams": {"running": here.streams.running, "limit": here.streams.limit},
        }
    )
