"""The application factory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from voxcpm_openai.context import AppContext
from voxcpm_openai.settings import Settings
from voxcpm_openai.web import (
    access_log,
    app_context,
    auth,
    candidates,
    consents,
    cors,
    dictionaries,
    elevenlabs,
    errors,
    forms,
    health,
    metrics,
    models,
    page_files,
    rate_headers,
    speech,
    speech_batch,
    text,
    usage,
    voices,
)
from voxcpm_openai.web.openapi import reference
from voxcpm_openai.web.sockets import elevenlabs as elevenlabs_socket
from voxcpm_openai.web.sockets import realtime, speech_stream

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BODY_OVERHEAD = 256 * 1024
"""Bytes of a request body beyond the input."""

BYTES_PER_CHARACTER = 12
"""JSON may write one character as two escapes: ``\\ud83d\\ude00``."""


class App(Flask):
    """Reads each run of slashes in a path as one: clients send ``base_url + "/v1/..."``.

    This comes before everything that looks at the path (routes, keys, the log), so that none of
    them sees two spellings of a route.  A redirect is not safe: ``//host`` leads to another host.
    """

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        environ["PATH_INFO"] = re.sub("/{2,}", "/", environ.get("PATH_INFO", ""))
        return super().wsgi_app(environ, start_response)


class JSONProvider(DefaultJSONProvider):
    """Keeps the order of keys and writes non-ASCII letters as they are."""

    ensure_ascii = False
    sort_keys = False

    def dumps(self, obj: object, **kwargs: object) -> str:
        """Return JSON that UTF-8 can carry, whatever a client or a file has brought in."""
        return super().dumps(obj, **kwargs).encode("utf-8", "replace").decode()


def create_app(settings: Settings, workers: int = 1) -> Flask:
    """Return the app.  Its engine is chosen but not started: ``context_of(app).engine.start()``.

    ``workers``: how many processes of the server have such an app.
    Raises StartError if a plugin or a setting is wrong.
    """
    app = App("voxcpm_openai", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = (
        BODY_OVERHEAD + BYTES_PER_CHARACTER * settings.max_input_chars
    )
    app.config[app_context.BODY_LIMIT] = max(
        speech_batch.body_limit(app.config["MAX_CONTENT_LENGTH"]), forms.MAX_LENGTH
    )
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # App has done it, without a redirect
    app.json = JSONProvider(app)
    context = AppContext.open(settings, workers)
    context.engine  # noqa: B018  (a server without an engine must not start)
    context.accounts  # noqa: B018  (nor one whose keys cannot be read)
    context.state  # noqa: B018  (two threads must not both make it)
    context.cache  # noqa: B018  (it must be the same for all threads)
    context.sweep()
    app_context.init_app(app, context)
    for extension in (access_log, cors, metrics, auth, rate_headers, errors, reference):
        extension.init_app(app)
    views = (speech, speech_batch, text, models, voices, candidates, consents, dictionaries)
    sockets = (elevenlabs_socket, realtime, speech_stream)
    pages = (page_files, reference)
    for view in (*views, elevenlabs, *sockets, usage, health, metrics, *pages):
        app.register_blueprint(view.blueprint)
    return app
