"""The opening handshake (RFC 6455, section 4.2): a GET request becomes a WebSocket."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from flask import Response, request
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from werkzeug.exceptions import NotImplemented as NotImplementedHere

from voxcpm_openai.errors import (
    ClientLeft,
    ForbiddenOrigin,
    InvalidRequest,
    RequestError,
    UpgradeRequired,
)
from voxcpm_openai.web.access_log import caller_facts, log_line
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_account, current_principal, current_refusal
from voxcpm_openai.web.sockets.channel import ByteStream, Channel
from voxcpm_openai.web.sockets.conversation import Conversation, Opening
from voxcpm_openai.web.sockets.speaker import FAILED

logger = logging.getLogger(__name__)

VERSION = "13"
"""Of the WebSocket protocol: the only one."""


def upgrade(
    converse: Callable[[Opening, Channel], Conversation], subprotocol: str | None = None
) -> Response:
    """Turn the current request into a WebSocket; its conversation has a thread of its own.

    ``subprotocol``: chosen if the client offers it.  Raises UpgradeRequired, InvalidRequest and
    ForbiddenOrigin.  Any other refusal is a message and a close code, which browsers can read.
    """
    ctx = current_context()
    _check_origin(ctx.settings.cors_origins)
    response = _accepted(subprotocol)
    client = request.environ.get("gunicorn.socket")
    if client is None or not hasattr(client, "upgrade"):
        raise NotImplementedHere("WebSockets need gunicorn with the server's own configuration.")
    facts = {**caller_facts(), "socket": request.path}
    opening = Opening(
        ctx,
        current_principal(),
        request.view_args or {},
        request.args.to_dict(),
        current_account(),
        facts,
    )
    limit, refusal = request.max_content_length, current_refusal()

    def run(stream: ByteStream) -> None:
        begun = time.monotonic()
        protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=limit)
        channel = Channel(protocol, stream, ctx.settings.socket_idle_timeout)
        conversation = converse(opening, channel)
        _converse(conversation, refusal)
        total = round((time.monotonic() - begun) * 1000)
        counts = {"code": channel.code, "characters": conversation.characters}
        log_line(logging.INFO, **facts, ms=total, **counts)

    client.upgrade(run)
    return response


def _converse(conversation: Conversation, refusal: RequestError | None) -> None:
    """Answer a client until either side closes."""
    channel = conversation.channel
    try:
        with conversation.opening.context.sockets.enter():
            conversation.run(refusal)
    except ClientLeft:
        pass
    except RequestError as error:
        conversation.refuse(error)
    except Exception:
        logger.exception("a WebSocket failed")
        channel.close(FAILED, "The server failed; its log says why.")


def _check_origin(allowed: Sequence[str]) -> None:
    """Refuse the web pages of other servers, unless their origin is configured.

    Any page that a browser shows can open a WebSocket to this machine.
    """
    origin = request.headers.get("Origin")
    if origin is None or "*" in allowed or origin.casefold() in map(str.casefold, allowed):
        return
    if _host_of(origin) != request.host.casefold():
        raise ForbiddenOrigin(
            f"Web pages of the origin '{origin[:200]}' may not open WebSockets here. "
            "(The operator allows origins: VOXCPM_CORS_ORIGINS.)"
        )


def _host_of(origin: str) -> str | None:
    """Return the host and port of an origin, or None if it has none."""
    try:
        return urlsplit(origin).netloc.casefold() or None
    except ValueError:
        return None


def _chosen(
    subprotocol: str | None,
) -> Callable[[ServerProtocol, Sequence[Subprotocol]], Subprotocol | None]:
    def choose(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol(subprotocol) if subprotocol and subprotocol in offered else None

    return choose


def _accepted(subprotocol: str | None) -> Response:
    """Return the response to a handshake.  Raises UpgradeRequired, InvalidRequest."""
    handshake = ServerProtocol(select_subprotocol=_chosen(subprotocol))
    answer = handshake.accept(Request(request.full_path, Headers(request.headers.items())))
    newer = request.environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    if answer.status_code == 426 or request.method != "GET" or not newer:
        raise UpgradeRequired(f"{request.path} is a WebSocket: use a URL with ws:// or wss://.")
    if request.headers.get("Sec-WebSocket-Version", VERSION) != VERSION:
        raise UpgradeRequired(f"The WebSocket cannot be opened: its version must be {VERSION}.")
    if answer.status_code != 101:
        raise InvalidRequest(f"The WebSocket cannot be opened: {handshake.handshake_exc}.")
    response = Response(status=101)
    del response.headers["Content-Type"]
    for name, value in answer.headers.items():
        if name != "Date":
            response.headers[name] = value
    return response
