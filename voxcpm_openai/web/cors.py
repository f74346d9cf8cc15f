"""CORS: off unless origins are configured (``VOXCPM_CORS_ORIGINS``)."""

from __future__ import annotations

from flask import Flask

from voxcpm_openai.web.app_context import context_of
from voxcpm_openai.web.rate_headers import RATE_HEADERS
from voxcpm_openai.web.speech import CACHE, IGNORED, RATE


def init_app(app: Flask) -> None:
    """Let the pages of the configured origins call the server."""
    origins = context_of(app).settings.cors_origins
    if not origins:
        return
    from flask_cors import CORS

    CORS(
        app,
        origins=list(origins),
        expose_headers=["x-request-id", "retry-after", IGNORED, RATE, CACHE, *RATE_HEADERS],
        max_age=600,
        allow_private_network=True,  # a public page may call a server at home, if its origin may
    )
