"""API keys: the principal and the account of each request."""

from __future__ import annotations

from flask import Flask, g, request

from voxcpm_openai.accounts.account import Account
from voxcpm_openai.errors import Unauthorized
from voxcpm_openai.principal import ANONYMOUS, OPERATOR, Principal
from voxcpm_openai.web import elevenlabs_shapes
from voxcpm_openai.web.app_context import current_context

OPEN_BLUEPRINTS = frozenset({"health", "page"})
"""Probes send no key, nor does a browser that opens the page: there a user enters it."""

DISCOVERY_BLUEPRINTS = frozenset({"elevenlabs", "models", "reference", "voices"})
"""Open WebUI lists models and voices without its key; the API reference has no secrets."""

SOCKET_BLUEPRINTS = frozenset({"elevenlabs_socket", "realtime", "speech_socket"})
"""Routes that only WebSockets have."""

SCHEME = "bearer "
KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""How browsers send a key to a WebSocket of OpenAI's: they cannot set headers."""


def init_app(app: Flask) -> None:
    """Check the key before every view."""
    app.before_request(check_key)


def check_key() -> None:
    """Set the principal and the account of the request, or raise Unauthorized.

    Without configured keys every client is the operator.
    """
    ctx = current_context()
    accounts, required = ctx.accounts, ctx.accounts.keys.required
    g.principal = ANONYMOUS if required else OPERATOR
    g.account = accounts.of(None)
    if not required or request.blueprint in OPEN_BLUEPRINTS or request.url_rule is None:
        return
    if request.method == "OPTIONS":  # a browser's preflight cannot carry the key
        return
    sent = _sent_key()
    if key := accounts.keys.find(sent):
        g.principal, g.account = key.principal, accounts.of(key)
        return
    if is_public(request.blueprint, request.method, discovery=ctx.settings.public_discovery):
        return
    refusal = _refusal(sent)
    if not is_handshake():
        raise refusal
    g.refusal = refusal


def is_public(blueprint: str | None, method: str, *, discovery: bool) -> bool:
    """Return whether a route needs no key; ``discovery``: ``VOXCPM_PUBLIC_DISCOVERY``."""
    if blueprint in OPEN_BLUEPRINTS:
        return True
    return discovery and method in ("GET", "HEAD") and blueprint in DISCOVERY_BLUEPRINTS


def current_refusal() -> Unauthorized | None:
    """Return why the current handshake of a WebSocket is refused, once it is open.

    A browser cannot read the answer to a handshake that fails.
    """
    refusal: Unauthorized | None = g.get("refusal")
    return refusal


def is_handshake() -> bool:
    """Return whether the current request opens a WebSocket."""
    upgrade = request.headers.get("Upgrade", "").lower()
    return request.blueprint in SOCKET_BLUEPRINTS and upgrade == "websocket"


def _refusal(key: bytes) -> Unauthorized:
    if key:
        return Unauthorized("The API key is not one of this server's.", code="invalid_api_key")
    return Unauthorized(
        "You did not send an API key. Send it in the header 'Authorization: Bearer KEY', or as "
        "ElevenLabs' 'xi-api-key: KEY'."
    )


def current_principal() -> Principal:
    """Return the principal of the current request; anonymous unless ``check_key`` has run."""
    principal: Principal = g.get("principal", ANONYMOUS)
    return principal


def current_account() -> Account:
    """Return the account of the current request."""
    account: Account = g.account
    return account


def _sent_key() -> bytes:
    """Return the key as bytes: WSGI decodes headers as Latin-1, and keys may contain spaces."""
    header = request.headers.get("Authorization", "")
    key = header[len(SCHEME) :] if header.lower().startswith(SCHEME) else ""
    key = key.strip() or request.headers.get(elevenlabs_shapes.KEY, "").strip() or _offered_key()
    return key.encode("latin-1", "replace")


def _offered_key() -> str:
    """Return the key among the subprotocols that a WebSocket offers, or nothing."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    names = (name.strip() for name in offered)
    keys = (name[len(KEY_SUBPROTOCOL) :] for name in names if name.startswith(KEY_SUBPROTOCOL))
    return next(keys, "")
