"""API keys: who may call what."""

from __future__ import annotations

import hmac

from flask import Flask, g, request

from voxcpm_openai.errors import Unauthorized
from voxcpm_openai.voices.owners import OPERATOR, STRANGER, owner_of
from voxcpm_openai.web.state import state

OPEN_BLUEPRINTS = frozenset({"health"})
"""Probes have no key."""

DISCOVERY_BLUEPRINTS = frozenset({"models", "voices"})
"""Open WebUI lists models and voices without its key."""

SCHEME = "bearer "


def init_app(app: Flask) -> None:
    """Check the key before every view."""
    app.before_request(check_key)


def check_key() -> None:
    """Let the request pass or raise Unauthorized.  Without configured keys everybody passes."""
    settings = state().settings
    g.viewer = STRANGER if settings.api_keys else OPERATOR
    if not settings.api_keys or request.blueprint in OPEN_BLUEPRINTS or request.url_rule is None:
        return
    if request.method == "OPTIONS":  # a browser's preflight cannot carry the key
        return
    key = _sent_key()
    # Compare with every key, so that the time tells nothing of which one was close.
    matches = [known for known in settings.api_keys if hmac.compare_digest(key, known.encode())]
    if matches:
        g.viewer = owner_of(matches[0])
        return
    reads = request.method in ("GET", "HEAD")
    if settings.public_discovery and reads and request.blueprint in DISCOVERY_BLUEPRINTS:
        return
    if not key:
        raise Unauthorized(
            "You did not send an API key. Send it in the header 'Authorization: Bearer KEY'."
        )
    raise Unauthorized("The API key is not one of this server's.", code="invalid_api_key")


def viewer() -> str | None:
    """Return who asks, as ``voices.owners`` has it: a key's owner, a stranger, or anybody."""
    who: str | None = g.viewer
    return who


def _sent_key() -> bytes:
    """Return the key as bytes: WSGI hands headers over as Latin-1; keys may hold spaces."""
    header = request.headers.get("Authorization", "")
    key = header[len(SCHEME) :] if header.lower().startswith(SCHEME) else ""
    return key.strip().encode("latin-1", "replace")
