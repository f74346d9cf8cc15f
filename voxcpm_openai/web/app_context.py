"""How views reach the application context and the disconnect watch of their app."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from voxcpm_openai.context import AppContext
from voxcpm_openai.web.disconnect import DisconnectWatch

CONTEXT = "voxcpm_openai"
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
