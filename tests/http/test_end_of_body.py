"""A reply gives its permit back after its last chunk and before the end of the body."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder

from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
BODIES = [
    {"response_format": "pcm"},
    {"response_format": "mp3"},
    {"response_format": "pcm", "stream_format": "sse"},
]


def body_of(app: Flask, **fields: str):
    """Return the iterator that the WSGI server gets."""
    request = {"model": "gpt-4o-mini-tts", "input": "One. Two. Three.", "voice": "alloy", **fields}
    environ = EnvironBuilder(SPEECH, method="POST", json=request).get_environ()
    return iter(app(environ, lambda status, headers, exc_info=None: lambda data: None))


@pytest.mark.parametrize("fields", BODIES, ids=["pcm", "mp3", "sse"])
def test_the_permit_is_free_when_the_body_ends_and_not_before_its_last_chunk_is_out(
    app: Flask, fields: dict[str, str]
) -> None:
    """After the last chunk the server writes the terminating one, and only then calls close()."""
    limits = context_of(app).limits
    count = len(list(body_of(app, **fields)))
    assert count > 2
    assert limits.running == 0
    body = body_of(app, **fields)
    taken = []
    for _ in range(count):
        next(body)
        taken.append(limits.running)
    assert taken == [1] * count
    with pytest.raises(StopIteration):
        next(body)
    assert limits.running == 0  # nobody has called close()
    body.close()
    assert limits.running == 0


@pytest.mark.parametrize("fields", BODIES, ids=["pcm", "mp3", "sse"])
def test_the_engine_speaks_until_the_last_chunk_is_out(app: Flask, fields: dict[str, str]) -> None:
    ctx = context_of(app)
    body = body_of(app, **fields)
    chunks = [next(body)]
    assert ctx.engine.status().streams == 1
    chunks += body
    assert ctx.engine.status().streams == 0
    assert b"".join(chunks) == b"".join(body_of(app, **fields))
