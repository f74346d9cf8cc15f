"""``/``: the web page, static files that need nothing from another host, and what it is told.

See docs/decisions/0026-web-page.md.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypedDict

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from voxcpm_openai import __version__
from voxcpm_openai.contracts import Capabilities
from voxcpm_openai.errors import Unavailable
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.openapi.operation import operation

blueprint = Blueprint("page", __name__)

FOLDER = Path(__file__).with_name("page")
INDEX = "index.html"

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""Named here: the types that a machine knows depend on its own files."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # revalidated by its ETag: an upgrade is seen at once
}
"""Headers of all files: the page runs its own scripts only and calls this server only."""


class File(NamedTuple):
    """A file of the page; ``etag`` is a hash of its content."""

    content: bytes
    media_type: str
    etag: str


@cache
def files() -> dict[str, File]:
    """Return all files of the page, by their names relative to its folder."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in MEDIA_TYPES:
            content = path.read_bytes()
            etag = hashlib.sha256(content).hexdigest()[:32]
            name = path.relative_to(FOLDER).as_posix()
            found[name] = File(content, MEDIA_TYPES[path.suffix], etag)
    return found


class EngineAbilities(TypedDict):
    """What the running engine can do."""

    cloning: bool
    default_speaker: bool
    needs_transcript: bool
    voice_design: bool
    instructions: bool
    languages: list[str]


class ServerFacts(TypedDict):
    """What the web page must know of the server."""

    version: str
    engine_name: str
    engine: EngineAbilities | None
    keys_required: bool
    consent_required: bool
    max_input_chars: int
    formats: list[str]
    default_voice: str
    default_model: str


@blueprint.get("/")
@operation(sends={"text/html": str})
def index() -> Response:
    """Return the web page."""
    return _response(files()[INDEX])


@blueprint.get("/page/<path:name>")
@operation(sends=dict.fromkeys((kind.partition(";")[0] for kind in MEDIA_TYPES.values()), str))
def get_file(name: str) -> Response:
    """Return a file of the web page.

    Raises NotFound.
    """
    if name not in files():
        raise NotFound
    return _response(files()[name])


@blueprint.get("/page/server.json")
def describe_server() -> ServerFacts:
    """Return what the web page must know of the server; ``engine`` is null until it has started."""
    ctx = current_context()
    try:
        engine = _engine(ctx.engine.get().capabilities)
    except Unavailable:
        engine = None
    return {
        "version": __version__,
        "engine_name": ctx.engine.name,
        "engine": engine,
        "keys_required": ctx.accounts.keys.required,
        "consent_required": ctx.settings.require_consent,
        "max_input_chars": ctx.settings.max_input_chars,
        "formats": list(ctx.registry.formats),
        "default_voice": ctx.settings.default_voice,
        "default_model": ctx.resolver.default_model,
    }


def _engine(can: Capabilities) -> EngineAbilities:
    return {
        "cloning": can.cloning,
        "default_speaker": can.default_speaker,
        "needs_transcript": can.needs_transcript,
        "voice_design": can.voice_design,
        "instructions": "instructions" in can.params,
        "languages": list(can.languages),
    }


def _response(file: File) -> Response:
    response = Response(file.content, content_type=file.media_type, headers=HEADERS)
    response.set_etag(file.etag)
    response.make_conditional(request)
    return response
