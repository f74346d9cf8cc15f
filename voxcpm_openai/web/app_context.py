"""How views reach the application context and the disconnect watch of their app."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flask import Flask, current_app

from voxcpm_openai.context import AppContext
from voxcpm_openai.web.disconnect import DisconnectWatch

CONTEXT = "voxcpm_openai"
BODY_LIMIT = "VOXCPM_BODY_LIMIT"
"""The key of the app's configuration for the largest body that any route takes, in bytes."""
WORKERS = "voxcpm_openai.workers"
"""The key of a function that returns the states of all workers, where there is a server."""
STARTED = "voxcpm_openai.workers_started"
"""The key of a function that returns how many workers were started, where there is a server."""
WATCH = "voxcpm_openai.disconnect_watch"


def init_app(app: Flask, context: AppContext) -> None:
    """Attach the context, and a watch of its own, to an app."""
    app.extensions[CONTEXT] = context
    app.extensions[WATCH] = DisconnectWatch()


def context_of(app: Flask) -> AppContext:
    """Return the context of an app."""
    return cast(AppContext, app.extensions[CONTEXT])


def current_context() -> AppContext:
    """Return the context of the app that handles the current request."""
    return context_of(current_app)


def disconnect_watch() -> DisconnectWatch:
    """Return the disconnect watch of the app that handles the current request."""
    return cast(DisconnectWatch, current_app.extensions[WATCH])


def current_workers() -> list[dict[str, object]]:
    """Return the ``WorkerState`` of each worker of the server, if any."""
    states = cast(Callable[[], list[dict[str, object]]], current_app.extensions.get(WORKERS, list))
    return states()


def workers_started() -> int:
    """Return how many workers the server has started; 0 if there is none."""
    return cast(Callable[[], int], current_app.extensions.get(STARTED, int))()
