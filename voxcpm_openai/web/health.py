"""``/health`` and ``/ready``, for probes."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypedDict

from flask import Blueprint

from voxcpm_openai import __version__
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import EngineStatus
from voxcpm_openai.errors import EngineFailed, EngineLoading
from voxcpm_openai.lifecycle import FAILED_RETRY, SERVING, UNLOADED
from voxcpm_openai.web.app_context import current_context, current_workers

blueprint = Blueprint("health", __name__)


class EngineObject(TypedDict):
    """The engine of a process."""

    name: str
    state: str


class Health(TypedDict):
    """A process that is alive."""

    status: Literal["ok"]
    version: str
    engine: EngineObject


class Streams(TypedDict):
    """How many streams run, and how many may."""

    running: int
    limit: int


class Sockets(TypedDict):
    """How many WebSockets are open, and how many may be."""

    open: int
    limit: int


class Readiness(TypedDict):
    """A server that accepts requests; `engine` has its name, its state, and its own values."""

    status: Literal["ready"]
    engine: dict[str, object]
    streams: Streams
    sockets: Sockets
    workers: list[dict[str, object]]


@blueprint.get("/health")
def health() -> Health:
    """Return that the process is alive, and the state of its engine."""
    engine = current_context().engine
    return {
        "status": "ok",
        "version": __version__,
        "engine": {"name": engine.name, "state": engine.state},
    }


@blueprint.get("/ready")
def ready() -> Readiness:
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
    return {
        "status": "ready",
        "engine": {"name": ctx.engine.name, **engine},
        "streams": {"running": ctx.limits.running, "limit": ctx.limits.limit},
        "sockets": {"open": ctx.sockets.open, "limit": ctx.sockets.limit},
        "workers": workers,
    }


def _status(ctx: AppContext) -> EngineStatus:
    """Return the status of this worker's engine.  Raises as ``EngineLifecycle.status``."""
    status = ctx.engine.status()
    if status.state == "failed":  # after its start, such as by a lost device
        raise EngineFailed(
            f"The engine {ctx.engine.name} has failed; only a restart helps.",
            retry_after=FAILED_RETRY,
        )
    return status
