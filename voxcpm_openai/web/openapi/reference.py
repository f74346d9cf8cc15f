"""``/openapi.json`` and ``/docs``: the API reference, and a page that shows it.

The document is made once for each process, by the first request for it.  The page needs nothing
from another host.  See docs/decisions/0027-openapi.md.
"""

from __future__ import annotations

import hashlib
import json
import threading
from io import BytesIO
from pathlib import Path
from typing import cast

from flask import Blueprint, Flask, Response, current_app, redirect, request, send_file
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as BaseResponse

from voxcpm_openai.web.openapi.operation import operation

blueprint = Blueprint("reference", __name__)

EXTENSION = "voxcpm_openai.reference"
FOLDER = Path(__file__).with_name("viewer")
PAGE = "reference.html"
FILES = {
    "reference.css": "text/css",
    "redoc.standalone.js": "text/javascript",
    "LICENSE.txt": "text/plain",
}
"""The files of the page, and their content types, whatever a machine takes them for."""

LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
"""An image of another host in Redoc, which it leaves out when it cannot be shown."""

# Redoc writes its styles into the page, shows marks as data, and searches in a worker of its own.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Reference:
    """The document of an app, made when it is first asked for."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._content: bytes | None = None

    @property
    def content(self) -> bytes:
        """The document as JSON."""
        with self._lock:
            if self._content is None:
                from voxcpm_openai.web.openapi.document import document

                made = document(self._app)
                self._content = json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()
            return self._content


def init_app(app: Flask) -> None:
    """Give an app its reference."""
    app.extensions[EXTENSION] = Reference(app)


@blueprint.get("/openapi.json")
@operation(sends={"application/json": dict[str, object]})
def get_document() -> Response:
    """Return this document: the API as OpenAPI 3.1."""
    reference = cast(Reference, current_app.extensions[EXTENSION])
    return _file(reference.content, "application/json")


@blueprint.get("/docs")
@operation(sends={"text/html": str})
def show_document() -> BaseResponse:
    """Show the API reference as a page, made by Redoc."""
    if request.path.endswith("/"):  # the page names its files relative to /docs
        return redirect("../docs", 308)
    response = _file((FOLDER / PAGE).read_bytes(), "text/html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


@blueprint.get("/docs/<name>")
@operation(sends=dict.fromkeys(FILES.values(), str))
def get_file(name: str) -> Response:
    """Return a file of that page, which calls no other host.

    Raises NotFound.
    """
    if name not in FILES:
        raise NotFound
    return _file((FOLDER / name).read_bytes().replace(LOGO, b"data:,"), FILES[name])


def _file(content: bytes, content_type: str) -> Response:
    """Return a file that a browser may keep, and asks for again; texts are UTF-8."""
    return send_file(
        BytesIO(content),
        mimetype=content_type,
        etag=hashlib.sha256(content).hexdigest()[:32],
        conditional=True,
    )
