"""``/metrics`` for Prometheus, and the admin address, which serves it without a key.

``VOXCPM_ADMIN_BIND`` is an additional address on which all workers listen.  It serves only the
probes and the metrics.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import NotFound

from voxcpm_openai.errors import OperatorOnly
from voxcpm_openai.principal import Role
from voxcpm_openai.web.app_context import current_context, current_workers, workers_started
from voxcpm_openai.web.auth import current_principal
from voxcpm_openai.web.openapi.operation import operation

blueprint = Blueprint("metrics", __name__)

ADMIN = "admin"
"""The attribute of a client socket that is true for the admin address."""


def init_app(app: Flask) -> None:
    """Serve the admin address.  Register before authentication, which it does not need."""
    app.before_request(_on_admin_address)


@blueprint.get("/metrics")
@operation(sends={"text/plain": str, "application/openmetrics-text": str})
def get_metrics() -> Response:
    """Return the metrics of all workers, for Prometheus; with keys, to the operator only.

    Raises OperatorOnly.
    """
    if current_principal().role is not Role.OPERATOR:
        raise OperatorOnly(
            "The metrics are for the operator's key. Without one, they are at VOXCPM_ADMIN_BIND."
        )
    return _metrics()


def _metrics() -> Response:
    ctx = current_context()
    ctx.state.publish()  # so that this worker's values are current
    pids = [int(str(worker["pid"])) for worker in current_workers()]
    accept = request.headers.get("Accept", "")
    text, content_type = ctx.metrics.render(accept, pids, workers_started())
    return Response(text, content_type=content_type, headers={"Cache-Control": "no-store"})


def _on_admin_address() -> Response | None:
    """Answer a request on the admin address, unless it is a probe."""
    if not getattr(request.environ.get("gunicorn.socket"), ADMIN, False):
        return None
    match request.blueprint:
        case "metrics" if request.method in ("GET", "HEAD"):
            return _metrics()
        case "metrics" | "health":
            return None
    raise NotFound
