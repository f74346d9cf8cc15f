"""``/health`` and ``/ready``, for probes."""

from __future__ import annotations

import dataclasses

from flask import Blueprint, Response, jsonify

from voxcpm_openai import __version__
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import EngineStatus
from voxcpm_openai.errors import EngineFailed, EngineLoading
from voxcpm_openai.lifecycle import FAILED_RETRY, SERVING, UNLOADED
from voxcpm_openai.web.app_context import current_context, current_workers

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
    """Return that the server accepts requests, and the state of its workers; otherwise a 503.

    One worker that is ready is enough: it takes the connections.  A worker with an unloaded engine
    is ready: a request loads it.  Raises EngineLoading, EngineFailed or Draining.
    """
    ctx = current_context()
    workers = current_workers()
    try:
        engine = dataclasses.asdict(_status(ctx))
    except (EngineLoading, EngineFailed):
        others = {worker["state"] for worker in workers}
        if ctx.engine.state not in UNLOADED and others.isdisjoint(SERVING):
            raise
        engine = {"state": ctx.engine.state}
    return jsonify(
        {
            "status": "ready",
            "engine": {"name": ctx.engine.name, **engine},
            "streams": {"running": ctx.limits.running, "limit": ctx.limits.limit},
            "sockets": {"open": ctx.sockets.open, "limit": ctx.sockets.limit},
            "workers": workers,
        }
    )


def _status(ctx: AppContext) -> EngineStatus:
    """Return the status of this worker's engine.  Raises as ``EngineLifecycle.status``."""
    status = ctx.engine.status()
    if status.state == "failed":  # after its start, such as by a lost device
        raise EngineFailed(
            f"The engine {ctx.engine.name} has failed; only a restart helps.",
            retry_after=FAILED_RETRY,
        )
    return status
